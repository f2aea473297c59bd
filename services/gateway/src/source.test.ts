import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { networks, peerKey, readSource, sourceKey } from "./source.ts";

const trusted = networks().read("10.0.0.0/8, ::1");
const from = (remoteAddress: string, forwarded?: string) =>
  ({
    socket: { remoteAddress },
    headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded },
  }) as unknown as IncomingMessage; // the two members that are read

test.each([
  { peer: "192.0.2.1", forwarded: undefined, source: "192.0.2.1" },
  { peer: "::ffff:192.0.2.1", forwarded: undefined, source: "192.0.2.1" },
  { peer: "192.0.2.1", forwarded: "198.51.100.7", source: "192.0.2.1" },
  { peer: "10.1.2.3", forwarded: "198.51.100.7", source: "198.51.100.7" },
  { peer: "::1", forwarded: "203.0.113.9, 198.51.100.7, 10.9.9.9", source: "198.51.100.7" },
  { peer: "10.1.2.3", forwarded: "nonsense", source: "10.1.2.3" },
])("$peer that forwards for $forwarded is $source", ({ peer, forwarded, source }) => {
  expect(readSource(from(peer, forwarded), trusted)).toBe(source);
});

test.each(["10.0.0.0/33", "10.0.0/8", "proxy", "::1/129", "10.0.0.0/8/8"])(
  "%s is no network",
  (raw) => {
    expect(() => networks().read(raw)).toThrow("must be networks");
  },
);

test("connections of a trusted proxy are not counted for one client", () => {
  expect(peerKey("::ffff:192.0.2.1", trusted)).toBe("192.0.2.1");
  expect(peerKey("2001:db8:1:2:3::4", trusted)).toBe("2001:db8:1:2:/64");
  expect(peerKey("10.1.2.3", trusted)).toBeUndefined();
});

test("an IPv6 sender is known by its first 64 bits", () => {
  expect(sourceKey("192.0.2.1")).toBe("192.0.2.1");
  expect(sourceKey("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2:/64");
  expect(sourceKey("2001:db8::6")).toBe("2001:db8:0:0:/64");
  expect(sourceKey("::1")).toBe("0:0:0:0:/64");
});
