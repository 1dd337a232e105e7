import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { AssetError, type AssetErrorCode, invalidField } from '../../src/asset/errors.ts'
import { google } from '../../src/gen/reapi.js'
import { fromServiceError, fromStatus, toInlineStatus, toRpcStatus } from '../../src/wire/status.ts'

const detailsKey = 'grpc-status-details-bin'

function statusDetails(metadata: Metadata | null): google.rpc.Status {
  const bytes = metadata?.get(detailsKey)[0]
  assert.ok(Buffer.isBuffer(bytes))
  return google.rpc.Status.decode(bytes)
}

function asServiceError(error: unknown): ServiceError {
  const { code, details, metadata } = toRpcStatus(error)
  return Object.assign(new Error(details), { code, details, metadata }) as ServiceError
}

const table: Readonly<Record<AssetErrorCode, readonly [rpc: string, inline: string]>> = {
  INVALID_ARGUMENT: ['INVALID_ARGUMENT', 'INVALID_ARGUMENT'],
  OUT_OF_RANGE: ['OUT_OF_RANGE', 'OUT_OF_RANGE'],
  NOT_FOUND: ['NOT_FOUND', 'NOT_FOUND'],
  PERMISSION_DENIED: ['PERMISSION_DENIED', 'PERMISSION_DENIED'],
  CHECKSUM_MISMATCH: ['FAILED_PRECONDITION', 'ABORTED'],
  FAILED_PRECONDITION: ['FAILED_PRECONDITION', 'FAILED_PRECONDITION'],
  UPSTREAM_UNAVAILABLE: ['UNAVAILABLE', 'UNAVAILABLE'],
  UNAVAILABLE: ['UNAVAILABLE', 'UNAVAILABLE'],
  DEADLINE_EXCEEDED: ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED'],
  CANCELLED: ['CANCELLED', 'CANCELLED'],
  RESOURCE_EXHAUSTED: ['RESOURCE_EXHAUSTED', 'RESOURCE_EXHAUSTED'],
  UNIMPLEMENTED: ['UNIMPLEMENTED', 'UNIMPLEMENTED'],
  DATA_LOSS: ['DATA_LOSS', 'DATA_LOSS'],
  INTERNAL: ['INTERNAL', 'INTERNAL'],
}

describe('status of errors', () => {
  for (const [code, [rpc, inline]] of Object.entries(table)) {
    test(`${code} is ${rpc} as RPC and ${inline} inline, and comes back as itself`, () => {
      const error = new AssetError(code as AssetErrorCode, 'why')
      assert.equal(status[toRpcStatus(error).code], rpc)
      assert.equal(status[toInlineStatus(error).code ?? 0], inline)
      assert.equal(fromServiceError(asServiceError(error)).code, code)
      assert.equal(fromStatus(toInlineStatus(error)).code, code)
    })
  }

  test('a plain miss carries no details', () => {
    assert.equal(toRpcStatus(new AssetError('NOT_FOUND', 'no such blob')).metadata, null)
  })

  test('violations are BadRequest details', () => {
    const error = new AssetError('INVALID_ARGUMENT', 'two are wrong', {
      violations: [
        { field: 'qualifiers.name', description: '"a" not supported' },
        { field: 'qualifiers.name', description: '"b" not supported' },
      ],
    })
    const { details, code, message } = statusDetails(toRpcStatus(error).metadata)
    assert.equal(code, status.INVALID_ARGUMENT)
    assert.equal(message, 'two are wrong')
    const detail = details.find((x) => x.type_url === 'type.googleapis.com/google.rpc.BadRequest')
    const { fieldViolations } = google.rpc.BadRequest.decode(detail?.value ?? Buffer.alloc(0))
    assert.deepEqual(
      fieldViolations.map((x) => x.description),
      ['"a" not supported', '"b" not supported'],
    )
    assert.deepEqual(fromServiceError(asServiceError(error)).violations, error.violations)
  })

  test('an origin that is down comes with RetryInfo, told or not', () => {
    const told = new AssetError('UPSTREAM_UNAVAILABLE', 'down', { retryAfterMs: 2500, uri: 'u' })
    const back = fromServiceError(asServiceError(told))
    assert.equal(back.retryAfterMs, 2500)
    assert.equal(back.uri, 'u')
    const untold = fromServiceError(asServiceError(new AssetError('UPSTREAM_UNAVAILABLE', 'down')))
    assert.ok((untold.retryAfterMs ?? 0) > 0)
  })

  test('whatever the message holds, headers stay far below 8 KiB', () => {
    const long = '\u{1f600}ü\n%\ud800'.repeat(4000)
    const error = new AssetError('UPSTREAM_UNAVAILABLE', long, {
      uri: long,
      violations: Array.from({ length: 500 }, () => ({ field: long, description: long })),
    })
    const { details, metadata } = toRpcStatus(error)
    const base64 = Buffer.from(metadata?.get(detailsKey)[0] ?? '').toString('base64')
    assert.ok(encodeURI(details).length <= 2048)
    assert.ok(encodeURI(details).length > 1900)
    assert.ok(base64.length + encodeURI(details).length < 7000)
    assert.equal(fromServiceError(asServiceError(error)).code, 'UPSTREAM_UNAVAILABLE')
  })

  test('details of others that cannot be read do not hide the error', () => {
    const garbage = [{ type_url: 'x/google.rpc.RetryInfo', value: Buffer.from('ffff', 'hex') }]
    const error = fromStatus({ code: 14, message: 'busy', details: garbage })
    assert.equal(error.code, 'UNAVAILABLE')
    assert.equal(error.message, 'busy')
  })

  test('codes of other servers become the nearest', () => {
    assert.equal(fromStatus({ code: status.UNAUTHENTICATED }).code, 'PERMISSION_DENIED')
    assert.equal(fromStatus({ code: status.UNKNOWN }).code, 'INTERNAL')
    assert.match(fromStatus({ code: status.ABORTED }).message, /ABORTED/)
  })

  test('one wrong field', () => {
    const error = fromServiceError(asServiceError(invalidField('uris', 'at least one is needed')))
    assert.deepEqual(error.violations, [{ field: 'uris', description: 'at least one is needed' }])
  })
})
