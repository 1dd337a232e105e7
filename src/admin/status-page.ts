import type { Status } from './http-routes.ts'

/** The page at `/`: what this is, and how to use it. */
export function statusPage({ version, mode, grpcAddress }: Status): string {
  const address = escapeHtml(
    grpcAddress.startsWith('unix:') ? grpcAddress : `grpc://${grpcAddress}`,
  )
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Larder</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}
pre{padding:1rem;background:#8882;overflow-x:auto}</style>
<h1>Larder ${escapeHtml(version)}</h1>
<p>A Remote Asset server with a content-addressable store: it fetches what builds download, once,
and keeps it by digest. It runs in mode <b>${escapeHtml(mode)}</b> and serves gRPC at
<code>${address}</code>.</p>
<p>Bazel uses it with two lines in <code>.bazelrc</code>:</p>
<pre>build --experimental_remote_downloader=${address}
build --remote_cache=${address}</pre>
<ul>
<li><a href="/status">/status</a>: sizes, counts and addresses, as JSON</li>
<li><a href="/metrics">/metrics</a>: for Prometheus</li>
<li><a href="/readyz">/readyz</a>, <a href="/livez">/livez</a>, <a href="/startupz">/startupz</a>: health</li>
</ul>
</html>
`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
