// Verifies signed tokens with `jose`. Each line in is one question as JSON, each line out its answer.
import { createInterface } from 'node:readline'
import { calculateJwkThumbprint, importJWK, importSPKI, jwtVerify } from 'jose'

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))))
}

// Says what the token says and what the key is called, or why neither is to be believed.
async function answer({ token, algorithm, jwk, spki, issuer, audience, at }) {
  const options = { algorithms: [algorithm], issuer, audience, currentDate: new Date(at * 1000) }
  try {
    const { protectedHeader, payload } = await jwtVerify(token, await importJWK(jwk), options)
    await jwtVerify(token, await importSPKI(spki, algorithm), options)
    return { header: protectedHeader, claims: payload, thumbprint: await calculateJwkThumbprint(jwk) }
  } catch (error) {
    return { error: error.code ?? error.message }
  }
}
