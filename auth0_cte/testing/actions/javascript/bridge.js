"use strict";
// Runs one Action. stdin: one line of JSON loads it, then one line starts each run and one answers each api call.
// stdout: lines that begin with the token of argv[2]; everything else on it is the Action's own. argv[3]: the parent.
const fs = require("fs");
const util = require("util");
const vm = require("vm");
const { AsyncLocalStorage } = require("async_hooks");
const { createRequire } = require("module");
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
  const line = Buffer.from(`\n${TOKEN}${JSON.stringify(message)}\n`);
  for (let sent = 0; sent < line.length; ) {
    sent += blocking(() => fs.writeSync(1, line, sent));
  }
}

function takeLine() {
  const end = buffered.indexOf(NEWLINE);
  if (end < 0) return undefined;
  const line = buffered.subarray(0, end).toString();
  buffered = buffered.subarray(end + 1);
  return JSON.parse(line);
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

function call(run, api, name, values) {
  const answers = name.startsWith("cache.");
  if (!run.open) {
    send({ run: run.id, late: `api.${name}` });
    return answers ? undefined : api;
  }
  send({ run: run.id, call: name, values: JSON.stringify(values, plain) });
  const reply = receive();
  if (reply.error !== undefined) throw limitError(reply.error);
  return answers ? reply.value ?? undefined : api;
}

function makeApi(run) {
  const api = {};
  for (const name of action.methods) {
    const [group, method] = name.split(".");
    api[group] = api[group] ?? {};
    api[group][method] = (...values) => call(run, api, name, values);
  }
  return api;
}

// --- loading and running

function makeRequire(filename) {
  const real = createRequire(filename);
  // An Actions Module of the tenant: a file of its name, in the folder "modules" beside the Action.
  const require = (name) => real(String(name).startsWith("actions:") ? `./modules/${name.slice(8)}` : name);
  return Object.assign(require, { resolve: real.resolve, cache: real.cache, main: real.main });
}

function load(message) {
  const { filename, handler } = message;
  action = { filename, methods: message.methods };
  const require = makeRequire(filename);
  const module = { exports: {}, filename, id: filename, loaded: false, require };
  const names = ["exports", "require", "module", "__filename", "__dirname"];
  const dynamicImport =
    vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER ?? ((name) => import(pathToFileURL(require.resolve(name)).href));
  const body = vm.compileFunction(message.source, names, { filename, importModuleDynamically: dynamicImport });
  action.compiled = true;
  body.call(module.exports, module.exports, require, module, filename, message.folder);
  action.handler = module.exports[handler];
  if (action.handler === undefined) return "missing";
  return Object.prototype.toString.call(action.handler) === "[object AsyncFunction]" ? "ready" : "not async";
}

async function perform(message) {
  const run = { id: message.run, open: true, fail: undefined };
  setClock(message.now);
  send({ run: run.id, begun: true });
  const stray = new Promise((_resolve, reject) => (run.fail = reject));
  const alive = setInterval(() => {}, 1 << 30); // a promise that never settles ends at the limit, not before
  let failure = null;
  try {
    const settled = runs.run(run, () => action.handler(message.event, makeApi(run)));
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
