use super::*;
use fracas_core::target::{Kind, Process, ProcessIdentity};
use fracas_core::units::Percent;

const MIB: u64 = 1 << 20;

fn target() -> Target {
    Target {
        alias: "it".into(),
        identity: "it".into(),
        kind: Kind::Process(Process {
            process: ProcessIdentity {
                pid: 1,
                start: 1,
                boot: String::new(),
            },
            command: "it".into(),
        }),
    }
}

fn asked(size: Option<u64>, percent: Option<f64>, victim: Victim) -> params::MemoryStress {
    params::MemoryStress {
        size: size.map(Size),
        percent: percent.map(Percent),
        victim,
    }
}

#[test]
fn a_share_is_one_of_the_limit() {
    let limited = Budget {
        limit: Some(200 * MIB),
        in_use: 0,
    };
    let free = Budget { limit: None, in_use: 0 };
    let much = |size, percent, budget| how_much(&asked(size, percent, Victim::Stress), &target(), budget);
    assert_eq!(much(None, Some(25.0), limited).unwrap(), 50 * MIB);
    assert_eq!(much(None, Some(100.0), limited).unwrap(), 200 * MIB);
    assert_eq!(much(Some(7 * MIB), None, free).unwrap(), 7 * MIB);
    for (size, percent, budget, why) in [
        (None, Some(50.0), free, "no limit of which 50% could be taken"),
        (None, Some(101.0), limited, "not from 0% to 100%"),
        (None, Some(0.0), limited, "not from 0% to 100%"),
        (None, Some(f64::NAN), limited, "not from 0% to 100%"),
        (None, Some(0.1), limited, "less than 1MiB"),
        (Some(1), None, limited, "less than 1MiB"),
        (None, None, limited, "either a `size` or a `percent`"),
        (Some(MIB), Some(1.0), limited, "either a `size` or a `percent`"),
    ] {
        let refused = much(size, percent, budget).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

#[test]
fn neither_the_machine_nor_the_worker_is_asked_for_too_much() {
    let machine = Memory {
        total: 8192 * MIB,
        available: 4096 * MIB,
    };
    let budget = Budget {
        limit: Some(512 * MIB),
        in_use: 100 * MIB,
    };
    let fits = |bytes, victim, budget| fits(&asked(Some(bytes), None, victim), &target(), bytes, budget, machine);
    fits(404 * MIB, Victim::Stress, budget).unwrap();
    let refused = fits(405 * MIB, Victim::Stress, budget).unwrap_err().to_string();
    for part in [
        "405.0MiB do not fit",
        "limit of 512.0MiB, 100.0MiB are in use",
        "at most 404.0MiB",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    fits(600 * MIB, Victim::Target, budget).unwrap();
    let free = Budget { limit: None, in_use: 0 };
    // A tenth of 8 GiB is more than half a gibibyte.
    fits(3276 * MIB, Victim::Stress, free).unwrap();
    let refused = fits(3277 * MIB, Victim::Target, free).unwrap_err().to_string();
    for part in [
        "3277.0MiB is more",
        "4096.0MiB are available",
        "819.2MiB of it are left",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
}
