// Preloaded into a service by a test: SIGUSR2 sets the process's wall clock back by two minutes, once for each signal. The
// monotonic clock goes on, as it does when an operator or NTP steps the clock of a machine.
const STEP_MS = 120_000;
const RealDate = Date;
let offsetMs = 0;

globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + offsetMs);
    else super(...given);
  }
  static now() {
    return RealDate.now() + offsetMs;
  }
};
process.on("SIGUSR2", () => {
  offsetMs -= STEP_MS;
});
