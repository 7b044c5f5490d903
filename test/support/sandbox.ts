// Container tools keep state in fixed places (/run, /var/lib, /etc). In a separate mount namespace each test has private
// ones: nothing of the machine is read or changed, and the mounts end with the processes.

// `$root` contains the private directories, which are mounted over the machine's for this process and its children only.
const script = `
  root=$1 paths=$2; shift 2
  for path in $paths; do mkdir -p "$path" "$root$path" && mount --bind "$root$path" "$path" || exit 1; done
  exec "$@"
`;

/** A command line that runs `command` with `paths` replaced by directories below `root`. */
export function sandboxed(root: string, paths: readonly string[], command: readonly string[]): string[] {
  return ['unshare', '--mount', 'sh', '-c', script, 'sandbox', root, paths.join(' '), ...command];
}
