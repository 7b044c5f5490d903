// Matches wildcards in one pass over the text, for every pattern. The positions in the pattern reached so far are the bits of one
// number ("shift-and" algorithm; several numbers for a long pattern).

/** `text`: any characters or none. `component`: the same without `/`. `components`: one or more of any characters. */
export type Wildcard = 'text' | 'component' | 'components';

export class Wildcards {
  /** For each character, the bits that it moves to the next position. */
  readonly #moving = new Map<number, Uint32Array>();
  /** Bits of wildcards that match the empty text. */
  readonly #optional: Uint32Array;
  /** Bits that stay at every character. */
  readonly #staying: Uint32Array;
  /** Bits that stay at every character except `/`. */
  readonly #stayingInside: Uint32Array;
  /** Bits that every character moves to the next position. */
  readonly #movingAnyway: Uint32Array;
  readonly #length: number;

  /** @param tokens literal text and wildcards; no two optional wildcards beside each other */
  constructor(tokens: readonly (string | { readonly wildcard: Wildcard })[]) {
    const length = tokens.reduce((sum, token) => sum + (typeof token === 'string' ? token.length : 1), 0);
    const bits = (): Uint32Array => new Uint32Array((length >>> 5) + 1);
    [this.#optional, this.#staying, this.#stayingInside, this.#movingAnyway] = [
      bits(),
      bits(),
      bits(),
      bits(),
    ];
    this.#length = length;
    let at = 0;
    for (const token of tokens) {
      if (typeof token !== 'string') {
        set(token.wildcard === 'component' ? this.#stayingInside : this.#staying, at);
        set(token.wildcard === 'components' ? this.#movingAnyway : this.#optional, at);
        at++;
      } else {
        for (let i = 0; i < token.length; i++, at++) {
          const code = token.charCodeAt(i);
          let moving = this.#moving.get(code);
          if (moving === undefined) {
            moving = bits();
            this.#moving.set(code, moving);
          }
          set(moving, at);
        }
      }
    }
  }

  match(text: string): boolean {
    const places = new Uint32Array(this.#optional.length);
    places[0] = 1 | (((this.#optional[0] as number) & 1) << 1);
    for (let i = 0; i < text.length; i++) if (!this.#step(places, text.charCodeAt(i))) return false;
    return ((places[this.#length >>> 5] as number) & (1 << (this.#length & 31))) !== 0;
  }

  /** False if no position is left. */
  #step(places: Uint32Array, code: number): boolean {
    const moving = this.#moving.get(code);
    const inside = code !== slash;
    let [carry, any] = [0, 0];
    for (let w = 0; w < places.length; w++) {
      const place = places[w] as number;
      const movingOn =
        place & ((moving === undefined ? 0 : (moving[w] as number)) | (this.#movingAnyway[w] as number));
      const staying =
        place & ((this.#staying[w] as number) | (inside ? (this.#stayingInside[w] as number) : 0));
      const reached = (movingOn << 1) | staying | carry;
      const skipped = reached & (this.#optional[w] as number);
      places[w] = reached | (skipped << 1);
      carry = (movingOn | skipped) >>> 31;
      any |= places[w] as number;
    }
    return any !== 0;
  }
}

/** Compiles a pattern of any text: `*` matches any characters, or none. */
export function textWildcards(pattern: string): Wildcards {
  return new Wildcards(pattern.split(/(\*+)/).map((part) => (part.startsWith('*') ? anyText : part)));
}

const anyText = { wildcard: 'text' } as const;
const slash = 0x2f;

function set(bits: Uint32Array, at: number): void {
  bits[at >>> 5] = (bits[at >>> 5] as number) | (1 << (at & 31));
}
