// Lets the server live by the clock file that tidegate's test builds read, so that an access
// token expires when the test says so and not after minutes of waiting.
//
// oidc-provider takes all its times from Date.now; nothing else is touched.

import { readFileSync } from 'node:fs';

const file = process.env.TIDEGATE_TEST_CLOCK;

if (file) {
  Date.now = () => {
    const now = Date.parse(readFileSync(file, 'utf8').trim());
    if (Number.isNaN(now)) throw new Error(`the test clock in ${file} is no instant`);
    return now;
  };
}
