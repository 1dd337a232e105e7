import { quoteShort } from '../asset/digest.ts'
import { AssetError, invalidField } from '../asset/errors.ts'

/** Long enough for any path of segments that a client uses; keeps keys and labels small. */
const instanceNameBytesMax = 1024

/** Which instance names are served. */
export interface Instances {
  /**
   * The name, if it is served.
   * @throws AssetError NOT_FOUND, naming the instance; INVALID_ARGUMENT if it is too long
   */
  accept(instanceName: string): string
}

/** @param names those served; undefined for any, the empty one too. */
export function createInstances(names: readonly string[] | undefined): Instances {
  const served = names && new Set(names)
  return {
    accept(instanceName) {
      if (Buffer.byteLength(instanceName) > instanceNameBytesMax) {
        throw invalidField('instance_name', `may be ${instanceNameBytesMax} bytes long`)
      }
      if (served && !served.has(instanceName)) {
        throw new AssetError(
          'NOT_FOUND',
          `instance_name: ${quoteShort(instanceName)} is not served here (instances)`,
        )
      }
      return instanceName
    },
  }
}
