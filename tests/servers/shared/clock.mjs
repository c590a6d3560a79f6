// Lets a server live by the clock file that tidegate's test builds read, so that an access token
// expires when the test says so and not after minutes of waiting.
//
// Timers are left alone.

import { readFileSync } from 'node:fs';

const file = process.env.TIDEGATE_TEST_CLOCK;

if (file) {
  const now = () => {
    const instant = RealDate.parse(readFileSync(file, 'utf8').trim());
    if (Number.isNaN(instant)) throw new Error(`the test clock in ${file} is no instant`);
    return instant;
  };
  const RealDate = Date;
  globalThis.Date = class Date extends RealDate {
    constructor(...when) {
      super(...(when.length === 0 ? [now()] : when));
    }

    static now() {
      return now();
    }
  };
}
