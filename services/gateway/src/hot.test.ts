import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { sendRaw } from "./dialects/conformance.ts";
import { headgate } from "./dialects/headgate/index.ts";
import { openTestDoor, type TestDoor } from "./testing/front-door.ts";

const TOKEN = `hgi_${"a".repeat(43)}`;
const QUIET = `hgi_${"b".repeat(43)}`;
const UNKNOWN = `hgi_${"c".repeat(43)}`;

const eventually = (check: () => boolean) =>
  vi.waitFor(() => expect(check()).toBe(true), { timeout: 30_000 });
const sockets: Socket[] = [];
const post = (door: TestDoor, token: string, body = '{"text":"a"}') =>
  sendRaw(door.port, { path: `/in/${token}`, headers: {}, body });

/** A request whose body never comes whole: `sent` bytes of the `declared` ones. */
function stall(door: TestDoor, token: string, declared: number, sent: number) {
  const socket = connect(door.port, "127.0.0.1");
  let seen = "";
  socket.on("data", (chunk) => {
    seen += chunk;
  });
  socket.on("error", () => {});
  const path = `/in/${token}`;
  socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${declared}\r\n\r\n`);
  socket.write("x".repeat(sent));
  sockets.push(socket);
  return { seen: () => seen };
}

/** Ends what `stall` left open, so that the door need not wait for it. */
function hangUp(): void {
  for (const socket of sockets.splice(0)) socket.destroy();
}

test("bodies that are declared and never sent refuse no other request", async () => {
  await using door = await openTestDoor([headgate]);
  door.addHook("headgate", TOKEN);
  door.addHook("headgate", QUIET);
  for (let at = 0; at < 300; at++) stall(door, TOKEN, 256 * 1024, 1);
  await eventually(() => door.bodies.bytes >= 300);
  for (let at = 0; at < 20; at++) expect((await post(door, QUIET)).status).toBe(202);
  expect((await post(door, TOKEN)).status).toBe(202);
  expect(door.bodies.bytes).toBeLessThan(64 * 1024);
  hangUp();
});

test("a hook that fills its share of the room is refused, and no other hook", async () => {
  const mib = 1024 * 1024;
  await using door = await openTestDoor([headgate], {
    bodies: { totalBytesMax: 4 * mib, hookBytesMax: 2 * mib, sourceBytesMax: mib },
  });
  door.addHook("headgate", TOKEN);
  door.addHook("headgate", QUIET);
  const stalled = Array.from({ length: 16 }, () => stall(door, TOKEN, 250_000, 200_000));
  await eventually(() => stalled.some(({ seen }) => seen().startsWith("HTTP/1.1 503 ")));
  expect((await post(door, QUIET)).status).toBe(202);
  expect(door.bodies.bytes).toBeLessThanOrEqual(2 * mib);
  hangUp();
});

test("the body of an unknown credential is not read", async () => {
  await using door = await openTestDoor([headgate]);
  const { seen } = stall(door, UNKNOWN, 256 * 1024, 1000);
  await eventually(() => seen().startsWith("HTTP/1.1 404 "));
  expect(door.bodies.bytes).toBe(0);
  hangUp();
});

test("a client address has no more hook requests under way than its bound", async () => {
  await using door = await openTestDoor([headgate], { requestsPerSourceMax: 1 });
  door.addHook("headgate", TOKEN);
  stall(door, TOKEN, 1000, 1);
  await eventually(() => door.bodies.bytes > 0);
  const refused = await post(door, TOKEN);
  expect([refused.status, JSON.parse(refused.body).type]).toEqual([503, "/problems/overloaded"]);
  hangUp();
});

test("one connection that pipelines keeps no other hook waiting", async () => {
  await using door = await openTestDoor([headgate], { requestsPerSourceMax: 100_000 });
  door.addHook("headgate", TOKEN);
  door.addHook("headgate", QUIET);
  let release = () => {};
  const standstill = new Promise<void>((resolve) => {
    release = resolve;
  });
  door.faults.publishing = (hookId) => (hookId === busy.id ? standstill : undefined);
  const busy = door.addHook("headgate", TOKEN);
  await post(door, QUIET);
  const socket = connect(door.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {});
  const one = `POST /in/${TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-length: 12\r\n\r\n{"text":"a"}`;
  socket.write(one.repeat(2_000));
  await eventually(() => door.load.waiting >= door.load.limit / 2);
  for (let at = 0; at < 10; at++) expect((await post(door, QUIET)).status).toBe(202);
  release();
});

test("a client address that sends on while it is refused is disconnected", async () => {
  await using door = await openTestDoor([headgate], { requestsPerSourceMax: 10 });
  door.addHook("headgate", TOKEN);
  let release = () => {};
  const standstill = new Promise<void>((resolve) => {
    release = resolve;
  });
  door.faults.publishing = () => standstill;
  const socket = connect(door.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  let isClosed = false;
  socket.on("error", () => {});
  socket.resume();
  socket.on("close", () => {
    isClosed = true;
  });
  const one = `POST /in/${TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-length: 12\r\n\r\n{"text":"a"}`;
  socket.write(one.repeat(2_000));
  await eventually(() => isClosed);
  release();
  await vi.waitFor(async () => expect((await post(door, TOKEN)).status).toBe(202), {
    timeout: 30_000,
  });
});
