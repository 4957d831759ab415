// Blocking calls on descriptors that do not block.

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Calls until the descriptor takes something. */
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
