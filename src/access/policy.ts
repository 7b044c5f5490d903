/** What callers without credentials may do: nothing, pull public repositories, pull every repository, or everything. */
export type AnonymousAccess = 'none' | 'public' | 'pull' | 'push';
