// toxiproxy-node-client: unharmed without a toxic, and each toxic seen.
"use strict";

const assert = require("node:assert/strict");
const net = require("node:net");
const { Toxiproxy, ToxiproxyError } = require("toxiproxy-node-client");

const LIMIT = 20_000;
const [api, source] = process.argv.slice(2);
const upstream = `127.0.0.1:${source}`;
// Nobody else takes the server's port at this address, also while nobody listens there.
const SECOND = `127.0.0.2:${source}`;
const toxiproxy = new Toxiproxy(`http://127.0.0.1:${api}`);

/** Asks the server for so many bytes and an end, unless it is to stay: what comes of them, how it ends, and when. */
function fetchBytes(proxy, count = 1000, stays = false) {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    let last = begun;
    let ended = "closed";
    const pieces = [];
    const [host, port] = proxy.listen.split(":");
    const stream = net.connect(Number(port), host);
    const limit = setTimeout(() => reject(new Error("nothing ends")), LIMIT);
    stream.on("connect", () => stream.write(`${count}${stays ? " stay" : ""}\n`));
    stream.on("data", (piece) => {
      pieces.push(piece);
      last = performance.now();
    });
    stream.on("error", (error) => {
      ended = { ECONNRESET: "reset", ECONNREFUSED: "refused" }[error.code] ?? error.code;
    });
    stream.on("close", () => {
      clearTimeout(limit);
      const over = performance.now();
      const body = Buffer.concat(pieces);
      const intact = body.every((byte, n) => byte === n % 251);
      resolve({ bytes: body.length, intact, ended, took: over - begun, endAfter: over - last });
    });
  });
}

function is(got, bytes, ended) {
  return got.intact && got.bytes === bytes && got.ended === ended;
}

async function isWell(proxy) {
  return is(await fetchBytes(proxy), 1000, "closed");
}

async function fails(what, status) {
  await assert.rejects(what, (error) => error instanceof ToxiproxyError && error.message.endsWith(` ${status}`));
}

// Each toxic: its attributes, how many bytes are asked for, and what has to be seen of it. Times are in milliseconds.
const TOXICS = {
  latency: [{ latency: 150, jitter: 10 }, 1000, (got) => is(got, 1000, "closed") && got.took >= 140],
  // 20 ms may have been saved before.
  bandwidth: [{ rate: 500 }, 100_000, (got) => is(got, 100_000, "closed") && got.took >= 170],
  // The end comes a little after the bytes, at the latest with them.
  slow_close: [{ delay: 150 }, 1000, (got) => is(got, 1000, "closed") && got.endAfter >= 100],
  timeout: [{ timeout: 100 }, 1000, (got) => is(got, 0, "closed") && got.took >= 95],
  reset_peer: [{ timeout: 50 }, 1000, (got) => is(got, 0, "reset") && got.took >= 45],
  // 9 pauses between 10 pieces.
  slicer: [{ average_size: 100, size_variation: 0, delay: 10_000 }, 1000, (got) => is(got, 1000, "closed") && got.took >= 85],
  limit_data: [{ bytes: 700 }, 1000, (got) => is(got, 700, "closed")],
};

async function proxies() {
  assert.match(await toxiproxy.getVersion(), /"version":"2\./);
  const web = await toxiproxy.createProxy({ name: "web", upstream });
  assert.ok(web.enabled && (await isWell(web)));
  await fails(toxiproxy.createProxy({ name: "web", upstream }), 409);
  await fails(toxiproxy.createProxy({ name: "", upstream }), 400);
  await fails(toxiproxy.get("none"), 404);
  const other = await toxiproxy.createProxy({ name: "other", listen: SECOND, upstream });
  assert.equal(other.listen, SECOND);
  assert.deepEqual(Object.keys(await toxiproxy.getAll()), ["other", "web"]);
  // A client sends all that it has of a proxy.
  const off = await other.update({ ...other.toJson(), enabled: false });
  assert.ok(!off.enabled && is(await fetchBytes(other), 0, "refused"));
  assert.ok((await off.update({ enabled: true })).enabled && (await isWell(other)));
  await other.remove();
  await fails(toxiproxy.get("other"), 404);
  assert.ok(is(await fetchBytes(other), 0, "refused"));
  console.log("passed proxies");
}

async function toxics() {
  const web = await toxiproxy.get("web");
  for (const [type, [attributes, count, acts]] of Object.entries(TOXICS)) {
    const clean = await fetchBytes(web, count);
    assert.ok(is(clean, count, "closed"), `${type}: ${JSON.stringify(clean)}`);
    const toxic = await web.addToxic({ type, attributes });
    assert.deepEqual(toxic.toJson(), { attributes, name: `${type}_downstream`, stream: "downstream", toxicity: 1, type });
    // The end of the server's stream would be passed on by a time-out.
    const got = await fetchBytes(web, count, type === "timeout");
    assert.ok(acts(got), `${type}: ${JSON.stringify(got)}`);
    await toxic.remove();
    await fails(web.getToxic(toxic.name), 404);
    assert.ok(await isWell(web), type);
  }
  // On the way there, by its own name, and changed.
  const lost = await web.addToxic({ name: "lost", type: "timeout", stream: "upstream", toxicity: 1, attributes: { timeout: 1 } });
  assert.ok(is(await fetchBytes(web), 0, "closed"));
  const none = await lost.update({ ...lost.toJson(), toxicity: 0 });
  assert.ok(none.toxicity === 0 && (await isWell(web)));
  const again = await none.update({ toxicity: 1, attributes: { timeout: 40 } });
  assert.deepEqual((await web.getToxic("lost")).attributes, { timeout: 40 });
  const got = await fetchBytes(web, 1000, true);
  assert.ok(is(got, 0, "closed") && got.took >= 35, JSON.stringify(got));
  await again.remove();
  console.log("passed toxics");
}

async function allOfThem() {
  // Without a port, and with toxics that are there before it.
  const all = await toxiproxy.populate([
    { name: "one", upstream, toxics: [{ type: "limit_data", attributes: { bytes: 7 } }] },
    { name: "two", listen: SECOND, upstream, enabled: false },
  ]);
  const { one, two } = all;
  assert.deepEqual(Object.keys(all), ["one", "two"]);
  assert.equal((await fetchBytes(one)).bytes, 7);
  assert.ok(!two.enabled && is(await fetchBytes(two), 0, "refused"));
  await toxiproxy.reset();
  assert.ok((await toxiproxy.get("two")).enabled && (await isWell(two)) && (await isWell(one)));
  for (const proxy of Object.values(await toxiproxy.getAll())) {
    await proxy.remove();
  }
  assert.deepEqual(await toxiproxy.getAll(), {});
  assert.ok(is(await fetchBytes(two), 0, "refused"));
  console.log("passed all of them");
}

(async () => {
  await proxies();
  await toxics();
  await allOfThem();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
