/**
 * What `check` looks at in a hash table: that each elem lies in a chunk and in the bucket of its key, that no key is there
 * twice, and that every elem that was ever taken is in a bucket or free.
 */
import { finding } from "../finding";
import { Htab, KeyBytes, bucketAt, bucketCount, bucketIndex, hasKey, hashOf, keyOff } from "./_htab";
import { elemsTaken, firstFree, isElem } from "./_pool";

const ELEM_NOWHERE: u32 = 64;
const ELEM_IN_WRONG_BUCKET: u32 = 65;
const KEY_TWICE: u32 = 66;
const COUNT: u32 = 67;
const ELEMS_LOST: u32 = 68;
const FREE_ELEM_NOWHERE: u32 = 69;
const MORE_THAN_MAX: u32 = 70;

export function checkHtab(map: Htab): void {
  if (map.keySize == 4) checkBuckets<u32>(map);
  else if (map.keySize == 8) checkBuckets<u64>(map);
  else checkBuckets<KeyBytes>(map);
}

// @ts-ignore: decorator
@inline
function keyOf<K>(map: Htab, elem: usize): K {
  if (isInteger<K>()) return load<K>(elem, sizeof<K>());
  return changetype<K>(elem + keyOff(map));
}

function checkBuckets<K>(map: Htab): void {
  const at = <u32>changetype<usize>(map);
  const taken = elemsTaken(map);
  let held: u32 = 0;
  for (let index: u32 = 0, buckets = bucketCount(map); index < buckets; index++) {
    for (let elem: usize = load<u32>(bucketAt(map, index)); elem != 0; elem = load<u32>(elem)) {
      if (!isElem(map, elem) || ++held > taken) {
        finding(ELEM_NOWHERE, at, <u32>elem, index);
        return;
      }
      const key = keyOf<K>(map, elem);
      const hash = hashOf<K>(map, key);
      if (bucketIndex(map, hash) != index || !hasKey<K>(map, elem, key, hash)) {
        finding(ELEM_IN_WRONG_BUCKET, at, index, bucketIndex(map, hash));
      }
      let steps: u32 = 0;
      for (let other: usize = load<u32>(elem); other != 0; other = load<u32>(other)) {
        if (!isElem(map, other) || ++steps > taken) break;
        if (!hasKey<K>(map, other, key, hash)) continue;
        finding(KEY_TWICE, at, <u32>elem, <u32>other);
        break;
      }
    }
  }
  if (held != map.count) finding(COUNT, at, map.count, held);
  if (held > map.maxEntries) finding(MORE_THAN_MAX, at, held, map.maxEntries);
  let free: u32 = 0;
  for (let elem = firstFree(map); elem != 0; elem = load<u32>(elem)) {
    if (!isElem(map, elem) || ++free > taken) {
      finding(FREE_ELEM_NOWHERE, at, <u32>elem, 0);
      return;
    }
  }
  if (held + free != taken) finding(ELEMS_LOST, at, held + free, taken);
}
