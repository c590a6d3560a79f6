// A person with a browser, as far as signing in needs one: cookies, redirects and forms.

const MOST_STEPS = 16;

/**
 * Opens `url`, signs in, consents, and answers with the URL the browser is sent back to, or with
 * null where a page at the end says that all is done.
 */
export async function signIn(url, { login = 'zoë', decline = false, userCode } = {}) {
  const issuer = new URL(url).origin;
  const cookies = new Map();
  let next = { url, method: 'GET' };
  for (let step = 0; step < MOST_STEPS; step += 1) {
    const answer = await fetch(next.url, {
      method: next.method,
      body: next.body,
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      redirect: 'manual',
    });
    for (const line of answer.headers.getSetCookie()) keep(cookies, line);
    const location = answer.headers.get('location');
    if (location) {
      const to = new URL(location, next.url);
      if (to.origin !== issuer) return to.href;
      next = { url: to.href, method: 'GET' };
      continue;
    }
    const page = await answer.text();
    if (!page.includes('<form')) {
      if (answer.ok) return null;
      throw new Error(`${next.url} answered ${answer.status}: ${page.slice(0, 500)}`);
    }
    next = fillIn(page, next.url, { login, decline, userCode });
  }
  throw new Error('signing in did not come to an end');
}

function keep(cookies, line) {
  const [pair] = line.split(';', 1);
  const at = pair.indexOf('=');
  const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
  if (value) cookies.set(name, value);
  else cookies.delete(name);
}

function fillIn(page, url, { login, decline, userCode }) {
  const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1];
  if (!action) throw new Error(`no form on the page at ${url}: ${page.slice(0, 500)}`);
  const fields = Object.fromEntries(
    [...page.matchAll(/<input[^>]*>/g)]
      .map(([input]) => [/ name="([^"]*)"/.exec(input)?.[1], / value="([^"]*)"/.exec(input)?.[1] ?? ''])
      .filter(([name]) => name),
  );
  if (decline && fields.prompt === 'consent') {
    return { url: new URL(`${new URL(url).pathname}/abort`, url).href, method: 'GET' };
  }
  if (userCode && fields.user_code === '') fields.user_code = userCode;
  if (fields.prompt === 'login') Object.assign(fields, { login, password: 'x' });
  return { url: new URL(action, url).href, method: 'POST', body: new URLSearchParams(fields) };
}
