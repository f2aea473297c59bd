import { expect, test } from "vitest";
import { isSecretName, redact } from "./redact.ts";

const token = `${"aB3_-".repeat(8)}xyz`;

test.each([
  [`a hg_${token} b`, "a REDACTED b"],
  [`"hgi_${token}"`, '"REDACTED"'],
  [`/in/hgi_${token}`, "/in/REDACTED"],
  ["POST /hooks/ybndrfg8ejkmcpqxot1uwisza3 200", "POST /hooks/REDACTED 200"],
  [`/api/open/v1/incoming/${token}?a=1`, "/api/open/v1/incoming/REDACTED?a=1"],
  ["/api/v4/hooks/incoming/ybndrfg8ejkmcpqxot1uwisza3", "/api/v4/hooks/incoming/REDACTED"],
  [
    "/api/v4/hooks/outgoing/ybndrfg8ejkmcpqxot1uwisza3/regen_token",
    "/api/v4/hooks/outgoing/REDACTED/regen_token",
  ],
  ["https://h.example/in/abc%20d.e", "https://h.example/in/REDACTED"],
  ["/hooks%2Fybndrfg8ejkmcpqxot1uwisza3", "/hooks%2FREDACTED"],
  [
    "headgate-identity: eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJnYXRld2F5In0.aB3_-x",
    "headgate-identity: REDACTED",
  ],
  ["postgres://app:p%40ss@db:5432/x", "postgres://app:REDACTED@db:5432/x"],
  ["redis://:hunter2@cache:6379", "redis://:REDACTED@cache:6379"],
  ["authorization: Bearer abcdefgh12", "authorization: Bearer REDACTED"],
])("%s becomes %s", (text, expected) => {
  expect(redact(text)).toBe(expected);
});

test.each([
  "POST /in/{token}",
  "POST /hooks/{id}",
  "GET /hooks/:id",
  '{"event.id":"0199-aa","duration_ms":3}',
  "http://127.0.0.1:8065/readyz",
  '{"http.route":"/in/{token}","outcome":"accepted"}',
])("leaves %s as it is", (text) => {
  expect(redact(text)).toBe(text);
});

test("knows the names of secrets", () => {
  const secret = [
    "password",
    "apiToken",
    "HEADGATE_SECRET_KEY",
    "Authorization",
    "cookie",
    "api_key",
  ];
  expect(secret.filter((name) => !isSecretName(name))).toEqual([]);
  const open = ["event.id", "tokens_left", "hook.id", "key", "token_set"];
  expect(open.filter(isSecretName)).toEqual([]);
});
