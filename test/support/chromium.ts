// A headless browser, controlled over the DevTools protocol.
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { startChild } from './child.ts';
import { cleanUp } from './cleanup.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export interface ChromiumPage {
  /** Navigates to a URL, follows redirects, and waits until the page has loaded. */
  open(url: string): Promise<void>;
  /** Evaluates a script and returns its JSON value. */
  evaluate<T = unknown>(script: string): Promise<T>;
  /** Fills the field that a selector finds. */
  fill(selector: string, text: string): Promise<void>;
  /** Clicks the element that a selector finds, and waits for the next page. */
  press(selector: string): Promise<void>;
  /** Calls a method of the protocol, such as `Emulation.setEmulatedMedia`. */
  send<T = unknown>(method: string, parameters?: object): Promise<T>;
  /** Script errors and policy violations. */
  readonly complaints: readonly string[];
}

interface Message {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
  readonly method?: string;
  readonly params: Record<string, unknown>;
}

/** Milliseconds for one step, ample for a machine under load. */
const stepLimit = 15_000;

/** Opens a page in a new browser without a profile, for the duration of the test. */
export async function startChromium(t: TestContext): Promise<ChromiumPage> {
  const profile = await temporaryDirectory(t, 'berth-chromium');
  const browser = await startChild(t, {
    command: 'chromium',
    // Chromium has no sandbox as root, and containers have little shared memory.
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      // No traffic leaves this machine, and no lookup waits for a timeout.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.*',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
    ],
    env: { ...process.env, HOME: profile },
    ready: /DevTools listening on ws:\/\/([\d.:]+)\//,
  });
  // After SIGTERM, Chromium ends its own processes, which write to the profile until then.
  cleanUp(t, () => browser.stop());
  const opened = await fetch(`http://${browser.ready[1]}/json/new?about:blank`, { method: 'PUT' });
  const { webSocketDebuggerUrl } = (await opened.json()) as { webSocketDebuggerUrl: string };
  const socket = new WebSocket(webSocketDebuggerUrl);
  await once(socket, 'open');
  return drive(socket);
}

async function drive(socket: WebSocket): Promise<ChromiumPage> {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const complaints: string[] = [];
  const loads = new EventTarget();
  let last = 0;
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error, method, params } = JSON.parse(data as string) as Message;
    if (id !== undefined) {
      if (error) waiting.get(id)?.reject(new Error(error.message));
      else waiting.get(id)?.resolve(result);
      waiting.delete(id);
    } else if (method === 'Page.loadEventFired') {
      loads.dispatchEvent(new Event('load'));
    } else if (method === 'Log.entryAdded') {
      const { text, level, url } = params.entry as { text: string; level: string; url?: string };
      if (level === 'error') complaints.push(`${url ?? ''} ${text}`.trim());
    } else if (method === 'Runtime.exceptionThrown') {
      complaints.push(JSON.stringify(params));
    }
  });

  socket.addEventListener('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('chromium has ended'));
  });

  const send = async <T>(method: string, params: object = {}): Promise<T> => {
    const id = ++last;
    const answer = Promise.withResolvers<unknown>();
    waiting.set(id, answer);
    socket.send(JSON.stringify({ id, method, params }));
    return (await answer.promise) as T;
  };
  const evaluate = async <T>(expression: string): Promise<T> => {
    const options = { expression, returnByValue: true, awaitPromise: true, userGesture: true };
    const { result, exceptionDetails } = await send<{
      result: { value: T };
      exceptionDetails?: { exception?: { description?: string } };
    }>('Runtime.evaluate', options);
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
    return result.value;
  };
  const untilLoaded = async (action: () => Promise<unknown>) => {
    const loaded = once(loads, 'load', { signal: AbortSignal.timeout(stepLimit) });
    await Promise.all([loaded, action()]);
  };
  const find = (selector: string) => `document.querySelector(${JSON.stringify(selector)})`;

  await Promise.all(['Page.enable', 'Log.enable', 'Runtime.enable'].map((method) => send(method)));
  // Waits until the empty page has loaded, so that `untilLoaded` does not count its load event.
  await evaluate(
    `new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', () => setTimeout(done)))`,
  );
  return {
    complaints,
    send,
    evaluate,
    open: (url) =>
      untilLoaded(async () => {
        const { errorText } = await send<{ errorText?: string }>('Page.navigate', { url });
        if (errorText) throw new Error(`${url}: ${errorText}`);
      }),
    fill: async (selector, text) => {
      await evaluate(`${find(selector)}.focus()`);
      await send('Input.insertText', { text });
    },
    press: (selector) => untilLoaded(() => evaluate(`${find(selector)}.click()`)),
  };
}
