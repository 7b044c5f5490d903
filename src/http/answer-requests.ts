import { RegistryError } from '../oci/errors.ts';
import { type Answer, errorAnswer } from './answer.ts';
import { closeAfterRefusal } from './body.ts';
import { HttpRequest, type RequestParts } from './request.ts';
import { sendAnswer } from './send-answer.ts';
import type { RawHandler } from './server.ts';

/** How an answer was sent. */
export interface Transfer {
  readonly status: number;
  /** Bytes of the body. */
  readonly sent: number;
  /** Milliseconds from the head of the request to the end of the answer. */
  readonly duration: number;
  /** The error that broke the answer off; `undefined` when all of it was sent. */
  readonly failure: unknown;
}

/** @typeParam Outcome the answer, and the other facts that `observe` needs */
export interface AnswerRequestsParts<Outcome extends { readonly answer: Answer }> extends RequestParts {
  /** Never rejects. Refuses a request at once, without a promise: what follows its head on the connection may be malformed. */
  readonly answer: (request: HttpRequest) => Outcome | Promise<Outcome>;
  /** Called for every answered request. */
  readonly observe: (request: HttpRequest, outcome: Outcome, transfer: Transfer) => void;
}

/** The handler of raw requests that sends what `answer` returns. It never rejects. */
export function answerRequests<Outcome extends { readonly answer: Answer }>(
  parts: AnswerRequestsParts<Outcome>,
): RawHandler {
  return async (incoming, response, requestId) => {
    const start = performance.now();
    const request = new HttpRequest(incoming, response, requestId, parts);
    const answering = parts.answer(request);
    const outcome = answering instanceof Promise ? await answering : answering;
    // An answer before the end of the body closes the connection: the next bytes on it are the rest of the body.
    if (request.hasUnreadBody) closeAfterRefusal(incoming, response);
    let sent = 0;
    const progress = (bytes: number): void => {
      sent += bytes;
    };
    let failure: unknown;
    try {
      const sending = sendAnswer(response, request, outcome.answer, progress);
      if (sending !== undefined) await sending;
    } catch (error) {
      failure = error;
      // After the head is sent, only a broken connection can signal an error.
      if (response.headersSent) response.destroy();
      else {
        const unknown = new RegistryError('UNKNOWN', undefined, { cause: error });
        sendAnswer(response, request, errorAnswer(unknown), progress);
      }
    }
    const duration = performance.now() - start;
    parts.observe(request, outcome, { status: response.statusCode, sent, duration, failure });
  };
}
