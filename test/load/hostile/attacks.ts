/**
 * The attacks of the hostile bench: what one sender, with or without a token, can do to a gateway. Each runs until its
 * signal aborts, sends to the loopback only, and is bounded in connections and in requests.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { buildPost } from "../client.ts";
import {
  type AttackFigures,
  changeMe,
  closedLoop,
  holdBodies,
  once,
  openStreams,
  type Target,
} from "./means.ts";

/** One attack. */
export type Attack = (target: Target, signal: AbortSignal) => Promise<AttackFigures>;

const MIB = 1024 * 1024;
const JSON_TYPE = { "content-type": "application/json" };

/** Bytes of bodies that a gateway holds at once, and the largest body that the Mattermost hook takes. */
const BODIES_BYTES = 64 * MIB;
const MATTERMOST_BYTES = 300_512;
const HOLDERS = Math.ceil(BODIES_BYTES / MATTERMOST_BYTES);

/** D2: bodies that are declared and never sent, without a token: together they declare all the room there is. */
const slowBodies: Attack = (target, signal) => {
  const rest = BODIES_BYTES - (HOLDERS - 1) * MATTERMOST_BYTES;
  return holdBodies(target, signal, {
    connections: HOLDERS,
    declared: (at) => (at === 0 ? rest : MATTERMOST_BYTES),
    sent: 1,
    path: () => `/hooks/${randomId()}`,
  });
};

/** D2: the same with a token that is valid, on the path with the largest bodies. */
const slowBatches: Attack = (target, signal) =>
  holdBodies(target, signal, {
    connections: 64,
    declared: () => MIB,
    sent: 1,
    path: () => `${target.hookPath}/batch`,
  });

/** D3c: bodies of the management API that stop one byte before their end. */
const heldApiBodies: Attack = (target, signal) =>
  holdBodies(target, signal, {
    connections: 800,
    declared: () => MIB,
    sent: MIB - 1,
    path: () => "/api/headgate/v1/channels",
    headers: { authorization: `Bearer ${target.token}` },
  });

/** D3a: log-ins with tens of thousands of unknown members. */
const memberStorm: Attack = (target, signal) => {
  const members = Array.from({ length: 94_098 }, (_, at) => `"${at.toString(36)}":1`).join(",");
  return closedLoop(target, signal, 4, [
    buildPost("/api/headgate/v1/sessions", `{${members}}`, JSON_TYPE),
  ]);
};

/** D3b: bodies that are dear to decode, to ids of hooks that do not exist. */
const dearDecoding: Attack = (target, signal) => {
  const members = Array.from({ length: 33_000 }, (_, at) => `"${at.toString(36)}":1`).join(",");
  const body = `{"text":"\\u0041",${members}}`.slice(0, 299_000).replace(/,[^,]*$/, "}");
  const shots = Array.from({ length: 64 }, () =>
    buildPost(`/hooks/${randomId()}`, body, JSON_TYPE),
  );
  return closedLoop(target, signal, 8, shots);
};

/** D8: one hook, as fast as 1,500 connections can. */
const busyHook: Attack = (target, signal) =>
  closedLoop(target, signal, 1_500, [eventOf(target.hookPath)]);

/** D8: one hook on 64 connections. */
const busyHookOf64: Attack = (target, signal) =>
  closedLoop(target, signal, 64, [eventOf(target.hookPath)]);

/** D8: one connection that sends without end and reads nothing. */
const unreadPipeline: Attack = async (target, signal) => {
  const bytes = Buffer.concat(Array.from({ length: 200 }, () => eventOf(target.hookPath)));
  let written = 0;
  const socket = connect({ host: "127.0.0.1", port: target.port });
  socket.on("error", () => {});
  socket.pause();
  while (!signal.aborted && !socket.destroyed) {
    if (socket.write(bytes)) await sleep(1);
    else await Promise.race([once(socket, "drain"), once(socket, "close"), sleep(250)]);
    written += 200;
  }
  socket.destroy();
  return { requests_written: written };
};

/** D11: batches of faulty items under ever new keys, whose answers are dear to keep. */
const keptAnswers: Attack = (target, signal) => {
  const body = JSON.stringify(Array.from({ length: 330 }, () => 1));
  const next = () =>
    buildPost(`${target.hookPath}/batch`, body, { ...JSON_TYPE, "idempotency-key": randomUUID() });
  return closedLoop(target, signal, 16, next, 4_000);
};

/** D13: large events, while a live stream is read. */
const largeEvents: Attack = async (target, signal) => {
  const stream = openStreams(target, signal, 1);
  const text = `{"text":"large","props":{"filler":"${"x".repeat(240_000)}"}}`;
  const figures = await closedLoop(
    target,
    signal,
    4,
    [buildPost(target.hookPath, text, JSON_TYPE)],
    1_200,
  );
  return { ...figures, ...(await stream) };
};

/** D13: live streams of one person, and changes that concern all of them. */
const manyStreams: Attack = async (target, signal) => {
  const streams = openStreams(target, signal, 971);
  const changes = changeMe(target, signal);
  return { ...(await streams), ...(await changes) };
};

/** D14: tokens that nobody gave out, as fast as 64 connections can. */
const unknownTokens: Attack = (target, signal) => {
  const paths = [
    () => `/in/hgi_${randomToken()}`,
    () => `/hooks/${randomId()}`,
    () => `/api/open/v1/incoming/${randomToken()}`,
  ];
  let at = 0;
  return closedLoop(target, signal, 64, () => eventOf(paths[at++ % 3]?.() ?? ""));
};

/** All attacks by name, with the defect each shows. */
export const attacks: Readonly<Record<string, { readonly defect: string; readonly run: Attack }>> =
  {
    slow_bodies: { defect: "D2", run: slowBodies },
    slow_batches: { defect: "D2", run: slowBatches },
    member_storm: { defect: "D3a", run: memberStorm },
    dear_decoding: { defect: "D3b", run: dearDecoding },
    held_api_bodies: { defect: "D3c", run: heldApiBodies },
    busy_hook: { defect: "D8", run: busyHook },
    busy_hook_of_64: { defect: "D8", run: busyHookOf64 },
    unread_pipeline: { defect: "D8", run: unreadPipeline },
    kept_answers: { defect: "D11", run: keptAnswers },
    large_events: { defect: "D13", run: largeEvents },
    many_streams: { defect: "D13", run: manyStreams },
    unknown_tokens: { defect: "D14", run: unknownTokens },
  };

function eventOf(path: string): Buffer {
  return buildPost(path, `{"text":"hostile ${"x".repeat(320)}"}`, JSON_TYPE);
}

/** 43 characters of base64url, the form of the native and the Monotree token. */
function randomToken(): string {
  return randomBytes(32).toString("base64url");
}

/** 26 characters of Mattermost's alphabet, the form of a hook's id. */
function randomId(): string {
  const alphabet = "ybndrfg8ejkmcpqxot1uwisza345h769";
  const characters = Array.from(randomBytes(25), (byte) => alphabet[byte % 32]);
  return `${characters.join("")}y`; // an id of 128 bits ends in three zero bits
}
