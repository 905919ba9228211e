//! Every code there is. The letter says which part of Fracas: D documents, T targets, F faults, G guardian and ledger, P probes,
//! N who watches from outside, R the run, S state and machine, X the container engine, I inside.

use super::Code;

macro_rules! codes {
    ($($name:ident = $id:literal, $title:literal, $explanation:literal, $next:literal;)*) => {
        $(#[doc = $title] pub static $name: Code = Code { id: $id, title: $title, explanation: $explanation, next: $next };)*

        /// All codes, in the order of this file.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    DOCUMENT_READ = "D001", "the file cannot be read",
        "The file named on the command line does not exist, is not readable, is not a regular file, or is larger than 1 MiB. Documents are small; the bound keeps a wrong file from filling the memory.",
        "check the path and its permissions";
    DOCUMENT_SYNTAX = "D002", "the file is not well-formed",
        "The text is not valid YAML: a tab in the indentation, a duplicate key, an open bracket, too much nesting or too many aliases.",
        "mend the line that is shown";
    UNKNOWN_KEY = "D003", "a key is not known here",
        "Keys are never ignored: a misspelt `duration` that is silently dropped is an experiment without an end.",
        "look the key up with `fracas schema`";
    WRONG_VALUE = "D004", "a value is not of the kind its key wants",
        "The value has the wrong type, unit or range.",
        "see the key's description with `fracas schema`";
    MISSING_KEY = "D005", "a required key is missing",
        "The document cannot be understood without it.",
        "add the key; `fracas template` prints a complete document";
    UNKNOWN_KIND = "D006", "the kind of document is not known",
        "Fracas looks at `apiVersion` and `kind`, or at the shape of the file, to find out what it is.",
        "begin with `apiVersion: fracas.dev/v1` and `kind: Experiment`, or see `fracas template`";
    DANGLING_ALIAS = "D007", "a name refers to nothing",
        "A fault names a target alias, or a criterion a target, that the document does not define.",
        "define the alias under `targets`, or mend its spelling";
    DUPLICATE_NAME = "D008", "a name is used twice",
        "Aliases, faults and probes are referred to by name in reports and overrides, so names are unique within their list.",
        "rename one of them";
    CONTRADICTION = "D009", "two parts of the document contradict each other",
        "For example a fault that lasts longer than the experiment, or a threshold that aborts what the expectation allows.",
        "change one of the two";
    NOT_AVAILABLE = "D010", "this is not available yet",
        "The document is right, but this version of Fracas cannot do what it asks, and it never pretends.",
        "remove the part that is shown, or use `--skip-unsupported` where the message offers it";
    BAD_OVERRIDE = "D011", "an override cannot be applied",
        "`--set` takes `path.to.key=value`; the path must exist in the schema of the document.",
        "see the path in the message; list items are addressed by index or by name";
    UNSET_VARIABLE = "D012", "an environment variable is not set",
        "`${NAME}` in a scalar value is replaced from the environment after parsing. A missing one is an error, for an empty value would change what is broken.",
        "set the variable, or write `${NAME:-default}`";
    BAD_QUERY = "D013", "a query is not PromQL",
        "Queries are parsed before anything is touched, so that a typing mistake does not end an experiment half-way.",
        "mend the query at the position shown";

    NO_TARGETS = "T001", "no target is left",
        "The selector matched nothing that may be broken, or the blast radius allows none.",
        "see `fracas targets FILE` for candidates and reasons";
    PROTECTED_TARGET = "T002", "the target is protected",
        "Fracas never breaks pid 1, itself, the container engine, kubelet, sshd, Prometheus or Grafana: without them nothing could be measured or undone.",
        "choose another target";
    TARGET_READ = "T003", "a target cannot be looked at",
        "What the system says of the target could not be read.",
        "run as root, or see the cause";
    TARGET_GONE = "T004", "the target is gone",
        "The process or container ended between being chosen and being used.",
        "see why it ended; run again";
    ENGINE_REMOTE = "T005", "the container engine is on another machine",
        "Faults need the kernel under the container, and the address names another machine while `docker.sidecar` is `never`; or the address is one of this machine, and the containers are in a virtual machine.",
        "allow a sidecar (`--sidecar auto`), or run Fracas on the machine with the containers";
    TOO_FEW = "T006", "fewer targets match than the document requires",
        "A precondition or `count` asks for more than there are.",
        "start the missing targets, or lower the number";

    FAULT_PLAN = "F001", "the fault cannot be put on this target",
        "Planning reads the target and found that the fault cannot work there, or could not be undone exactly.",
        "see the cause";
    FAULT_APPLY = "F002", "the fault could not be applied",
        "The kernel or the engine refused. What had been done is undone.",
        "see the cause";
    FAULT_NEEDS = "F003", "something that the fault needs is missing",
        "A privilege, a kernel feature or a program on which the fault depends is not there. Nothing was touched.",
        "see `fracas doctor`";
    CONFLICT = "F004", "two faults want the same thing",
        "Two injections on one target write the same kernel file or act on the same process, and do not compose.",
        "separate them by `start` and `duration`, a second apart at least, or by target";
    IRREVERSIBLE = "F005", "the fault cannot be undone",
        "Its target does not come back by itself, and nothing can bring it back.",
        "set `allow_irreversible: true` on the fault if that is what you want";
    FAULT_MEASURE = "F006", "the dose cannot be measured",
        "The meter of the fault failed. A fault that is not measured makes the verdict INCONCLUSIVE.",
        "see the cause";
    FAULT_REVERT = "F007", "the fault could not be removed",
        "The system refused to take the way back. The report prints the exact manual commands.",
        "do what the report says, then `fracas recover`";
    FAULT_OBSERVE = "F008", "it cannot be seen whether the fault is gone",
        "Reading the system failed; an error is never taken for absence.",
        "see the cause, then `fracas recover`";

    GUARDIAN_START = "G001", "the guardian cannot be started",
        "Without a guardian there is nobody to undo faults when the runner dies, so nothing is injected.",
        "see the cause; `fracas doctor` checks what the guardian needs";
    GUARDIAN_LOST = "G002", "the guardian is gone",
        "The guardian ended or stopped answering. A new one recovers from the ledger.",
        "`fracas status`, then `fracas recover`";
    CLAIMED = "G003", "another run holds this target's resource",
        "Two runs never hold the same resource: their undos would overwrite each other.",
        "wait for the other run, or `fracas stop` it";
    LEDGER = "G004", "the ledger cannot be used",
        "The durable record of injections could not be made, written or read. Without it nothing is injected.",
        "see the cause: space, permissions and owner of the state directory";
    UNFINISHED = "G005", "an earlier run was not cleaned up",
        "Runner and guardian of an earlier run died together. Its ledger still holds injections.",
        "run `fracas recover`";
    RESIDUE = "G006", "something of a fault is left",
        "The certificate found our value or name in the system after the undo.",
        "do what the report says, then `fracas recover`";
    FROZEN = "G007", "the machine is frozen",
        "`fracas freeze` stopped all runs and blocks new ones.",
        "`fracas thaw` when it is safe again";

    PROBE_UNREACHABLE = "P001", "a probe's server cannot be reached",
        "No connection, no answer in time, or an answer that is not what the protocol says.",
        "check the address and that the server runs";
    PROBE_ANSWER = "P002", "a probe's answer makes no sense",
        "The server answered something else: HTML in place of JSON, no data, a text in place of a number.",
        "see the answer in the message";
    PROBE_QUERY = "P003", "a query was refused",
        "Prometheus understood the request and refused the query.",
        "mend the query";

    NOT_TOLD = "N001", "something could not be told outside",
        "A trace, a metric or a webhook did not reach the server of the settings. The run itself, its undo and its report are not affected.",
        "check the address with `fracas config`, and that the server runs";
    NO_LISTENER = "N002", "nobody could ask for metrics",
        "The address of `--metrics-listen` (setting `telemetry.metrics_listen`) cannot be listened on: another program has the port, the address is none of this machine's, or the port needs a privilege. It is taken before anything else, so nothing was touched.",
        "choose another port, or 0 for a free one; `ss -ltnp` shows who has it";
    NO_PROXY = "N003", "the proxy cannot listen",
        "The address of `--listen`, `--listener` or `--api-listen` cannot be listened on: another program has the port, the address is none of this machine's, or the port needs a privilege.",
        "choose another port, or 0 for a free one; `ss -ltnp` shows who has it";
    NO_PROXY_ANSWER = "N004", "no proxy answers",
        "Nothing answers at the address of `--base-url`, or what answers is no proxy of Fracas.",
        "start one with `fracas proxy`; it says where its API is";
    PROXY_REFUSED = "N005", "the proxy refused what was asked",
        "The proxy is there, and says why it does not do it: another orchestration runs, or none does.",
        "`fracas orchestrate status` shows what runs";
    PROXY_TLS = "N010", "the proxy cannot use TLS",
        "A file of `--tls-cert`, `--tls-key`, `--tls-client-ca`, `--upstream-ca`, `--upstream-cert` or `--upstream-key` holds something else, a key is not that of its certificate, or a name cannot be one.",
        "give files in PEM: certificates are called `CERTIFICATE` there, keys `PRIVATE KEY`";
    PASSED_THROUGH = "N011", "this cannot act on connections that are passed through",
        "With `--tls-passthrough` the proxy reads of a connection only which name its client calls, so there are no requests and no answers that something could be done to. Latency, resets and ends of connections, `bandwidth_limit_bps` and `max_connections` act.",
        "leave the key out, or let the proxy open the connections: `--tls-cert` or `--tls-self-signed`";
    NO_SUCH_LISTENER = "N012", "the proxy has no listener of this name",
        "A key `listeners` names where requests must come in for something to be done to them. The proxy has the listener `main`, which is that of `--listen`, and one for each `--listener NAME=ADDR:PORT`; what is about another would never act.",
        "mend the name; `fracas proxy` says at its start which listeners it has, and so does GET /api/chaos/status";

    NOT_CONFIRMED = "R001", "nobody agreed to the run",
        "On a terminal `fracas run` shows the plan and asks once. Without a terminal it needs `--yes`.",
        "answer y, or pass `--yes`";
    STOP_FILE = "R002", "a stop file exists already",
        "It would stop the run at once; whoever made it wanted quiet.",
        "remove the file when it is safe, then run again";
    NO_SUCH_RUN = "R003", "there is no such run",
        "The state directory holds no run of that id.",
        "`fracas runs` lists them";
    USAGE = "R004", "the command line is wrong",
        "An argument is missing, unknown, or contradicts another.",
        "see `fracas help`";
    NOTHING_SHARED = "R005", "two runs have nothing in common",
        "Runs are compared probe by probe and fault by fault. These two measure nothing by the same name and question, and put no fault of the same name on the same target.",
        "compare two runs of one experiment; `fracas runs` lists them";

    STATE_DIRECTORY = "S001", "the state directory cannot be trusted or used",
        "State, ledgers and settings must belong to the user and be writable by nobody else, parents included: whoever can write them can make root undo things that were never done.",
        "see the cause; FRACAS_STATE names another directory";
    STATE_WRITE = "S002", "state cannot be written",
        "The disk is full, read-only or broken.",
        "see the cause";
    NO_PRIVILEGE = "S003", "a privilege is missing",
        "What was asked needs a capability that this process does not have.",
        "run as root, or grant the capability that is named";
    BAD_SETTING = "S004", "a setting is wrong",
        "A flag, a variable or the settings file holds a value that makes no sense.",
        "`fracas config` shows every setting and where it came from";
    SYSTEM = "S005", "the system refused a call",
        "A system call failed in a way that Fracas does not expect.",
        "see the cause; `fracas doctor` may tell more";

    ENGINE_UNREACHABLE = "X001", "the container engine cannot be reached",
        "Nothing listens at the engine's address, or this user may not talk to it.",
        "start the engine, or set DOCKER_HOST; see `fracas doctor`";
    ENGINE_ANSWER = "X002", "the container engine answered something unexpected",
        "The answer is not what the engine's API promises.",
        "see the cause; check that DOCKER_HOST really is an engine";
    ENGINE_REFUSED = "X003", "the container engine refused",
        "The engine understood what was asked and did not do it.",
        "see the cause";

    UNKNOWN = "I000", "a problem of another version",
        "The code comes from a different version of Fracas.",
        "look it up with that version";
    INSIDE = "I001", "Fracas contradicts itself",
        "This is a defect in Fracas. Faults are undone all the same.",
        "please report it, with events.ndjson of the run";
}

/// The code with this id.
pub fn find(id: &str) -> Option<&'static Code> {
    ALL.iter().find(|code| code.id.eq_ignore_ascii_case(id)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_well_formed_and_every_code_says_all_it_must() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ALL {
            assert!(seen.insert(code.id), "{} twice", code.id);
            assert!(
                code.id.len() == 4 && code.id[1..].bytes().all(|c| c.is_ascii_digit()),
                "{}",
                code.id
            );
            assert!(![code.title, code.explanation, code.next].contains(&""), "{}", code.id);
            assert_eq!(find(code.id), Some(*code));
        }
    }
}
