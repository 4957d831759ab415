// Blocking writes to non-blocking descriptors.

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Repeats the call while the descriptor is not ready. */
export function retry(call) {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}
