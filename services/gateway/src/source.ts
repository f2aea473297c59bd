/** Who sent a request: the peer of the socket, or, behind proxies that are trusted, whom they say they forward for. */
import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";
import type { Field } from "@headgate/kit/env";

/** A setting that holds networks in CIDR form, or single addresses, with commas between. Default: none. */
export function networks(): Field<BlockList> {
  return { read: parseNetworks, fallback: new BlockList(), required: false };
}

/**
 * The address of a sender. Walks X-Forwarded-For from the right, past the trusted ones, so that what a sender wrote
 * there itself is never believed.
 */
export function readSource(req: IncomingMessage, trusted: BlockList): string {
  const peer = normalise(req.socket.remoteAddress ?? "");
  const forwarded = req.headers["x-forwarded-for"];
  if (forwarded === undefined || !contains(trusted, peer)) return peer;
  const hops = String(forwarded).split(",", 32);
  let source = peer;
  for (let at = hops.length - 1; at >= 0 && contains(trusted, source); at--) {
    const hop = normalise((hops[at] ?? "").trim());
    if (isIP(hop) === 0) break;
    source = hop;
  }
  return source;
}

/**
 * What budgets of a source are kept under: the address; of IPv6 the first 64 bits, for one sender has all the rest.
 */
export function sourceKey(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = "", tail] = address.split("::", 2);
  const front = head === "" ? [] : head.split(":");
  const missing =
    tail === undefined ? 0 : 8 - front.length - (tail === "" ? 0 : tail.split(":").length);
  return [...front, ...Array<string>(missing).fill("0")].slice(0, 4).concat("/64").join(":");
}

/** What the connections of a peer are counted under; undefined for a trusted proxy, which forwards for many senders. */
export function peerKey(address: string, trusted: BlockList): string | undefined {
  const peer = normalise(address);
  return contains(trusted, peer) ? undefined : sourceKey(peer);
}

function normalise(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

function contains(list: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && list.check(address, family === 6 ? "ipv6" : "ipv4");
}

function parseNetworks(raw: string): BlockList {
  const list = new BlockList();
  for (const part of raw.split(",").map((text) => text.trim())) {
    const [address = "", prefix, ...rest] = part.split("/");
    const family = isIP(address);
    const bits = prefix === undefined ? (family === 6 ? 128 : 32) : Number(prefix);
    if (
      family === 0 ||
      rest.length > 0 ||
      !Number.isInteger(bits) ||
      bits < 0 ||
      bits > (family === 6 ? 128 : 32)
    ) {
      throw new Error("must be networks like 10.0.0.0/8, with commas between");
    }
    list.addSubnet(address, bits, family === 6 ? "ipv6" : "ipv4");
  }
  return list;
}
