"use strict";
// Runs one Action. stdin: one line of JSON loads it, then one line starts each run and one answers each api call.
// stdout: lines that begin with the token of argv[2]; everything else on it is the Action's own. argv[3]: the parent.
const fs = require("fs");
const util = require("util");
const vm = require("vm");
const { AsyncLocalStorage } = require("async_hooks");
const { createRequire } = require("module");
const { dirname, join } = require("path");
const { Readable, Writable } = require("stream");
const { pathToFileURL } = require("url");
const { Worker } = require("worker_threads");

const TOKEN = process.argv[2];
const PARENT = Number(process.argv[3]);
const NEWLINE = 10;
const runs = new AsyncLocalStorage(); // tells whose a timer, a promise and a line of output is
const chunk = Buffer.alloc(65536);
const pause = new Int32Array(new SharedArrayBuffer(4));
const RealDate = Date;
const { parse, stringify } = JSON; // taken before the Action runs, which may replace them
let buffered = Buffer.alloc(0);
let offset = 0; // of the tenant's clock, in milliseconds
let action; // { handler, methods, filename }

function blocking(operation) {
  for (;;) {
    try {
      return operation();
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

function send(message) {
  const line = Buffer.from(`\n${TOKEN}${stringify(message)}\n`);
  for (let sent = 0; sent < line.length; ) {
    sent += blocking(() => fs.writeSync(1, line, sent));
  }
}

function takeLine() {
  const end = buffered.indexOf(NEWLINE);
  if (end < 0) return undefined;
  const line = buffered.subarray(0, end).toString();
  buffered = buffered.subarray(end + 1);
  return parse(line);
}

function keep(count) {
  if (count === 0) process.exit(0); // the tenant is gone
  buffered = Buffer.concat([buffered, chunk.subarray(0, count)]);
}

function receive() {
  for (;;) {
    const message = takeLine();
    if (message !== undefined) return message;
    keep(blocking(() => fs.readSync(0, chunk)));
  }
}

function next(handle) {
  const message = takeLine();
  if (message !== undefined) return handle(message);
  fs.read(0, chunk, 0, chunk.length, null, (error, count) => {
    if (error === null) keep(count);
    else if (error.code !== "EAGAIN") process.exit(0);
    next(handle);
  });
}

function describe(error) {
  try {
    return told(error);
  } catch {
    return { name: "", message: "something that cannot be shown", code: "", place: "", stack: "" };
  }
}

function told(error) {
  const isError = error !== null && typeof error === "object" && typeof error.stack === "string";
  const stack = isError ? error.stack : "";
  const at = stack.indexOf(`${action.filename}:`);
  const place = at < 0 ? null : /^:(\d+)(?::(\d+))?/.exec(stack.slice(at + action.filename.length));
  return {
    name: isError ? String(error.name) : "",
    message: isError ? String(error.message).split("\n")[0] : util.inspect(error),
    code: isError && typeof error.code === "string" ? error.code : "",
    place: place === null ? "" : place[0],
    stack,
  };
}

// --- what the Action finds around it

function print(text) {
  const run = runs.getStore();
  if (run === undefined || run.open) send({ printed: text });
}

function replaceOutput() {
  for (const name of ["debug", "dir", "error", "info", "log", "trace", "warn"]) {
    console[name] = (...values) => print(`${util.format(...values)}\n`);
  }
  const stream = () => new Writable({ write: (data, _encoding, done) => done(print(String(data))) });
  const [out, err] = [stream(), stream()];
  Object.defineProperty(process, "stdout", { get: () => out });
  Object.defineProperty(process, "stderr", { get: () => err });
  Object.defineProperty(process, "stdin", { get: () => Readable.from([]) });
}

function setClock(now) {
  offset = Math.round(now) - RealDate.now();
  if (globalThis.Date !== RealDate || Math.abs(offset) < 2000) return;
  const reading = () => RealDate.now() + offset;
  globalThis.Date = new Proxy(RealDate, {
    apply: () => new RealDate(reading()).toString(),
    construct: (_target, values, made) => Reflect.construct(RealDate, values.length ? values : [reading()], made),
    get: (target, name, receiver) => (name === "now" ? reading : Reflect.get(target, name, receiver)),
  });
}

function watchParent() {
  // An Action that never returns to the event loop does not see its input end. The parent is given, not asked for:
  // it may have ended before this thread runs.
  const code = `const { workerData: parent } = require("worker_threads");
    const look = () => process.ppid === parent || process.kill(process.pid, "SIGKILL");
    look();
    setInterval(look, 1000);`;
  return new Worker(code, { eval: true, workerData: PARENT });
}

// --- the api

function plain(_name, value) {
  if (typeof value === "number" && !Number.isFinite(value)) throw limitError("numbers must be finite");
  return value;
}

function limitError(message) {
  return Object.defineProperty(new Error(message), "name", { value: "ActionLimitError" });
}

function ask(run, name, values) {
  if (!run.open) {
    send({ run: run.id, late: `api.${name}` });
    return undefined;
  }
  send({ run: run.id, call: name, values: stringify(values, plain) });
  const reply = receive();
  if (reply.error !== undefined) throw limitError(reply.error);
  if (name === "transaction.setMetadata") show(run.event.transaction.metadata, ...values);
  return reply.value ?? undefined;
}

function show(metadata, key, value) {
  // What an Action sets it sees at once, as at Auth0.
  if (metadata === undefined) return;
  if (value === undefined || value === null) delete metadata[key];
  else metadata[key] = value;
}

function makeApi(run) {
  const api = {};
  const kinds = {
    api: (...call) => (ask(run, ...call), api), // so that calls can be chained
    promise: async (...call) => ask(run, ...call),
    value: (...call) => ask(run, ...call),
  };
  for (const [name, kind] of Object.entries(action.methods)) {
    const [group, method] = name.split(".");
    api[group] = api[group] ?? {};
    api[group][method] = (...values) => kinds[kind](name, values);
  }
  return api;
}

// --- loading and running

function compile(source, filename, require, globals = {}) {
  // Strictly as CommonJS: newer versions of Node.js would run ES modules, too.
  const module = { exports: {}, filename, id: filename, loaded: false, require };
  const values = { exports: module.exports, require, module, __filename: filename, __dirname: dirname(filename) };
  const dynamicImport =
    vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER ?? ((name) => import(pathToFileURL(require.resolve(name)).href));
  const names = Object.keys({ ...values, ...globals });
  const body = vm.compileFunction(source, names, { filename, importModuleDynamically: dynamicImport });
  return { module, run: () => body.apply(module.exports, Object.values({ ...values, ...globals })) };
}

function makeRequire(filename, actionsModule) {
  const real = createRequire(filename);
  const require = (name) => (String(name).startsWith("actions:") ? actionsModule(name.slice(8)) : real(name));
  return Object.assign(require, { resolve: real.resolve, cache: real.cache, main: real.main });
}

function moduleLoader(folder, secrets) {
  // An Actions Module of the tenant is a file of its name, in the folder "modules" beside the Action.
  const loaded = new Map();
  const nested = () => {
    throw new Error("an Actions Module cannot require another one");
  };
  return (name) => {
    if (!loaded.has(name)) {
      const filename = join(folder, "modules", `${name}.js`);
      if (!fs.existsSync(filename)) throw new Error(`Cannot find the Actions Module '${name}': write it to ${filename}`);
      const { module, run } = compile(fs.readFileSync(filename, "utf8"), filename, makeRequire(filename, nested), {
        actions: { secrets },
      });
      run();
      loaded.set(name, module);
    }
    return loaded.get(name).exports;
  };
}

function load(message) {
  const { filename, handler } = message;
  action = { filename, methods: message.methods };
  const require = makeRequire(filename, moduleLoader(dirname(filename), message.secrets));
  const { module, run } = compile(message.source, filename, require);
  action.compiled = true;
  run();
  action.handler = module.exports[handler];
  if (action.handler === undefined) return "missing";
  return Object.prototype.toString.call(action.handler) === "[object AsyncFunction]" ? "ready" : "not async";
}

async function perform(message) {
  const run = { id: message.run, event: message.event, open: true, fail: undefined };
  setClock(message.now);
  send({ run: run.id, begun: true });
  const stray = new Promise((_resolve, reject) => (run.fail = reject));
  const alive = setInterval(() => {}, 1 << 30); // a promise that never settles ends at the limit, not before
  let failure = null;
  try {
    const settled = runs.run(run, () => action.handler(run.event, makeApi(run)));
    await Promise.race([settled, stray]);
    await Promise.race([new Promise(setImmediate), stray]); // rejections that nobody handles are told only now
  } catch (error) {
    failure = describe(error);
  }
  clearInterval(alive);
  run.open = false;
  stray.catch(() => {});
  send({ run: run.id, done: true, failure });
  next(perform);
}

function stray(error) {
  const run = runs.getStore();
  if (run !== undefined && run.open) run.fail(error);
  else send({ run: run?.id ?? 0, late: `${describe(error).name} ${describe(error).message}` });
}

process.on("unhandledRejection", stray);
process.on("uncaughtException", stray);
replaceOutput();
const watcher = watchParent();
watcher.once("online", () => {
  watcher.unref();
  send({ started: true }); // what comes before is not the Action's time
  next(begin);
});

function begin(message) {
  try {
    send({ loaded: load(message), node: process.version });
  } catch (error) {
    send({ loaded: action.compiled ? "threw" : "does not compile", node: process.version, failure: describe(error) });
  }
  next(perform);
}
