import { expect, test } from "vitest";
import { readConfig } from "./config.ts";

test("on the loopback, needs nothing but Redis", () => {
  const env = { HEADGATE_HOST: "127.0.0.1", REDIS_URL: "redis://redis:6379" };
  const config = readConfig(env);
  expect([config.REDIS_URL, config.HEADGATE_GRPC_PORT]).toEqual(["redis://redis:6379", 9090]);
});

test("names all faults at once, without the values", () => {
  const env = { REDIS_URL: "http://:hunter2@redis", HEADGATE_GRPC_PORT: "x", HEADGATE_PORT: "1" };
  let message = "";
  try {
    readConfig(env);
  } catch (thrown) {
    message = String(thrown);
  }
  for (const name of Object.keys(env)) expect(message).toContain(name);
  expect(message).not.toContain("hunter2");
});
