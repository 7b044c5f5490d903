import assert from 'node:assert/strict';
import { test } from 'node:test';
import { registryPlace, serverOf } from './places.ts';

for (const [url, place] of [
  ['postgres://berth:secret@db.example.com:5433/registry?sslmode=require', 'db.example.com:5433/registry'],
  ['postgres:///registry?host=/run/postgresql&password=secret', 'a local socket/registry'],
  ['postgres://berth@/registry?host=/run/postgresql', 'a local socket/registry'],
  ['postgres://berth:secret@/registry', 'a local socket/registry'],
] as const) {
  test(`${url} is described as ${place}`, () => {
    assert.equal(serverOf(url), place);
    assert.equal(registryPlace({ database: { url } as never, data: './data' }), place);
  });
}
