// Container tools keep state in fixed places of the machine (/run, /var/lib, /etc). In a mount namespace of its own each
// test sees private ones there: nothing of the machine's is read or touched, and its mounts end with the processes.

// `$root` holds the private directories; each is bound over the machine's own for this process and its children only.
const script = `
  root=$1 paths=$2; shift 2
  for path in $paths; do mkdir -p "$path" "$root$path" && mount --bind "$root$path" "$path" || exit 1; done
  exec "$@"
`;

/** The command line that runs `command` with `paths` replaced by directories below `root`. */
export function sandboxed(root: string, paths: readonly string[], command: readonly string[]): string[] {
  return ['unshare', '--mount', 'sh', '-c', script, 'sandbox', root, paths.join(' '), ...command];
}
