/** What becomes of one consumed record. */

/** `done`: its effect is there. `drop`: counted, not kept. `retry`: again after a pause. `dead`: to the dead letter. */
export type Outcome =
  | { readonly kind: "done" }
  | { readonly kind: "drop"; readonly reason: string }
  | { readonly kind: "retry"; readonly reason: string }
  | { readonly kind: "dead"; readonly reason: string };

/** The effect of the record is there (or was there already). */
export const done: Outcome = Object.freeze({ kind: "done" });

/** Nothing to do with this record, by rule. `reason` is stable snake_case: a metric label. */
export function drop(reason: string): Outcome {
  return { kind: "drop", reason };
}

/** Not now: this record and those after it in its chunk come again after a pause. */
export function retry(reason: string): Outcome {
  return { kind: "retry", reason };
}

/** Can never work: kept in `<topic>.<group>.dead` with this reason. */
export function dead(reason: string): Outcome {
  return { kind: "dead", reason };
}
