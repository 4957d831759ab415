'use strict';

const SECONDS = { s: 1, m: 60, h: 60 * 60, d: 24 * 60 * 60 };

/** Whole seconds of a number of seconds, or of a text such as '90s', '1h' or '1h 30m'. */
function seconds(duration) {
  const total = typeof duration === 'string' ? ofText(duration) : duration;
  if (!Number.isInteger(total) || total < 0) {
    throw new RangeError(
      `${JSON.stringify(duration)} is no duration: give whole seconds, or a text of numbers with s, m, h or d, such as '1h 30m'`
    );
  }
  return total;
}

function ofText(text) {
  if (!/^\s*(\d+\s*[smhd]\s*)+$/.test(text)) {
    return NaN;
  }
  return [...text.matchAll(/(\d+)\s*([smhd])/g)].reduce((sum, [, count, unit]) => sum + Number(count) * SECONDS[unit], 0);
}

module.exports = { seconds };
