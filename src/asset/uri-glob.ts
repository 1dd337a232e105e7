/**
 * A pattern over whole URIs: `*` stands for any characters but "/", `**` for any at all, and
 * everything else for itself. Returns the test of it.
 */
export function uriGlob(pattern: string): (uri: string) => boolean {
  const source = pattern
    .split(/(\*+)/)
    .map((part, index) => {
      if (index % 2 === 0) return RegExp.escape(part)
      return part.length > 1 ? '.*' : '[^/]*'
    })
    .join('')
  const expression = new RegExp(`^${source}$`, 's')
  return (uri) => expression.test(uri)
}
