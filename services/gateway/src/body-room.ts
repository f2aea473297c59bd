/**
 * The memory for request bodies, in bytes: one room for hooks and API together. A body counts for its client address
 * until the credential is known, then for the hook (or the account) behind it. Each of these holders has a share, and when
 * the room is full the largest holders give up bodies that are still arriving: a small holder is never refused for what
 * large ones keep.
 */
import type { AppError } from "@headgate/kit/errors";
import type { BodyRoom as BodyBytes } from "@headgate/kit/http";
import { overloaded } from "./load.ts";

/** The room. */
export type BodyRoom = {
  /** Starts counting a body for a client address (its `sourceKey`). */
  open(source: string): HeldBody;
  /** Bytes that are held now. */
  readonly bytes: number;
};

/** The bytes of one body. */
export type HeldBody = BodyBytes & {
  /** Counts what is held, and what comes, for this holder instead: `hook:<id>` or `user:<id>`. */
  assignTo(holder: string): void;
  /** Gives all of it back. A second call does nothing. */
  close(): void;
};

/** Bounds of the room, all in bytes. */
export type BodyRoomBounds = {
  /** All bodies together. */
  readonly totalBytesMax: number;
  /** The bodies of one client address whose credentials are not known yet, or are unknown. */
  readonly sourceBytesMax: number;
  /** The bodies of one hook, or of one account of the API. */
  readonly hookBytesMax: number;
};

/** A holder with no more than this may also use the last quarter of the room. A little over the largest legal body. */
const SMALL_BYTES = 1_280 * 1024;
/** Share of the room that holders with more than that may fill. */
const COMMON_SHARE = 3 / 4;
/** Share of the room that is made free at once when it is full, so that not every chunk has to look for it. */
const FREED_SHARE = 1 / 8;

type Holder = { readonly bytesMax: number; readonly bodies: Set<Body>; bytes: number };

/** An empty room. */
export function createBodyRoom(bounds: BodyRoomBounds): BodyRoom {
  const ledger = new Ledger(bounds);
  return {
    open: (source) => new Body(ledger, `source:${source}`, bounds.sourceBytesMax),
    get bytes() {
      return ledger.total;
    },
  };
}

class Body implements HeldBody {
  refuse: ((error: AppError) => void) | undefined;
  bytes = 0;
  readonly #ledger: Ledger;
  #name: string;
  #bytesMax: number;
  #holder: Holder | undefined;

  constructor(ledger: Ledger, name: string, bytesMax: number) {
    this.#ledger = ledger;
    this.#name = name;
    this.#bytesMax = bytesMax;
  }

  take(bytes: number): void {
    this.#holder ??= this.#ledger.join(this, this.#name, this.#bytesMax);
    this.#ledger.take(this.#holder, bytes);
    this.bytes += bytes;
  }

  assignTo(name: string): void {
    const { bytes } = this;
    this.close();
    this.#name = name;
    this.#bytesMax = this.#ledger.bounds.hookBytesMax;
    if (bytes > 0) this.take(bytes);
  }

  close(): void {
    if (this.#holder) this.#ledger.part(this, this.#name, this.#holder);
    this.#holder = undefined;
    this.bytes = 0;
  }
}

class Ledger {
  readonly bounds: BodyRoomBounds;
  readonly #holders = new Map<string, Holder>();
  total = 0;

  constructor(bounds: BodyRoomBounds) {
    this.bounds = bounds;
  }

  join(body: Body, name: string, bytesMax: number): Holder {
    let holder = this.#holders.get(name);
    if (!holder) {
      holder = { bytesMax, bodies: new Set(), bytes: 0 };
      this.#holders.set(name, holder);
    }
    holder.bodies.add(body);
    return holder;
  }

  part(body: Body, name: string, holder: Holder): void {
    holder.bodies.delete(body);
    holder.bytes -= body.bytes;
    this.total -= body.bytes;
    if (holder.bodies.size === 0) this.#holders.delete(name);
  }

  take(holder: Holder, bytes: number): void {
    const wanted = holder.bytes + bytes;
    if (wanted > holder.bytesMax) throw overloaded();
    const { totalBytesMax } = this.bounds;
    const bound = wanted <= SMALL_BYTES ? totalBytesMax : totalBytesMax * COMMON_SHARE;
    if (this.total + bytes > bound) {
      this.#free(this.total + bytes - bound + totalBytesMax * FREED_SHARE, wanted);
      if (this.total + bytes > bound) throw overloaded();
    }
    holder.bytes += bytes;
    this.total += bytes;
  }

  /** Refuses bodies that are still arriving, those of the largest holders first, of holders with more than `above` bytes. */
  #free(bytes: number, above: number): void {
    const goal = this.total - bytes;
    const larger = [...this.#holders.values()].filter((holder) => holder.bytes > above);
    for (const holder of larger.sort((a, b) => b.bytes - a.bytes)) {
      for (const body of holder.bodies) {
        if (this.total <= goal) return;
        if (!body.refuse) continue;
        body.refuse(overloaded());
        holder.bytes -= body.bytes;
        this.total -= body.bytes;
        body.bytes = 0;
      }
    }
  }
}
