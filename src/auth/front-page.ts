// `/`: introduces the registry, with the commands to log in and push.
import type { FastifyInstance } from 'fastify';
import type { Config } from '../config/schema.ts';
import { baseUrlOf, type ClientOf } from '../http/client.ts';
import { type Html, html } from './html.ts';
import { sendPage } from './page.ts';
import { accountPath } from './return-path.ts';

export interface FrontPageParts extends Pick<Config, 'anonymous' | 'externalUrl' | 'tokenServer'> {
  readonly clientOf: ClientOf;
  readonly passwordLogin: boolean;
}

/** Adds `GET /`: a page for browsers, and its commands as text for other clients. It shows no content of the registry. */
export function addFrontPage(http: FastifyInstance, parts: FrontPageParts): void {
  const { anonymous, externalUrl, tokenServer, clientOf } = parts;
  const hasLogins = anonymous !== 'push';
  // Berth does not know the accounts of an external token server.
  const hasAccounts = hasLogins && tokenServer === undefined;
  http.route({
    method: ['GET', 'HEAD'],
    url: '/',
    handler(request, reply) {
      const base = baseUrlOf(clientOf(request.raw), externalUrl);
      const host = base === undefined ? 'REGISTRY' : new URL(base).host;
      const image = hasLogins ? `${host}/NAME/hello` : `${host}/hello`;
      const login = `docker login ${host}`;
      const push = `docker tag hello-world ${image}\ndocker push ${image}`;
      reply.header('vary', 'Accept');
      if (!request.headers.accept?.includes('text/html')) {
        const commands = hasLogins ? `${login}\n${push}` : push;
        return reply.header('cache-control', 'no-store').send(`${greeting}\n\n${commands}\n`);
      }
      return sendPage(reply, {
        title: host,
        body: html`<p>${greeting}</p>
${hasLogins && loginSection(login, hasAccounts && accountOf(parts))}
<section>
<h2>Push an image</h2>
<pre><code>${push}</code></pre>
${hasAccounts && html`<p><code>NAME</code> is your user name or one of your organisations.</p>`}
</section>`,
      });
    },
  });
}

const greeting =
  'This is Berth, a container registry: docker, podman and other clients push images here and pull them.';

function loginSection(command: string, account: Html | false): Html {
  return html`<section>
<h2>Log in</h2>
<pre><code>${command}</code></pre>
${account}
</section>`;
}

function accountOf({ passwordLogin }: FrontPageParts): Html {
  return html`<p>with your user name and ${passwordLogin && 'your password or '}an access token, which you create on your account page.</p>
<p><a class="button main" href="${accountPath}">Your account</a></p>`;
}
