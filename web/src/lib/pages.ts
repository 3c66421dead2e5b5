// A cursor list with a way back: the cursors of the pages before are kept.

import { computed, ref } from 'vue'
import { useLoad } from './load'

export const PAGE_SIZE = 25

export function usePages<L extends { next: string | null }>(ask: (cursor: string | null, signal: AbortSignal) => Promise<L>) {
  const cursors = ref<(string | null)[]>([null])
  const list = useLoad((signal) => ask(cursors.value.at(-1) ?? null, signal))
  const page = computed(() => cursors.value.length - 1)

  function first(): void {
    cursors.value = [null]
    void list.reload()
  }
  function next(): void {
    const cursor = list.data.value?.next
    if (!cursor) return
    cursors.value = [...cursors.value, cursor]
    void list.reload()
  }
  function back(): void {
    if (cursors.value.length === 1) return
    cursors.value = cursors.value.slice(0, -1)
    void list.reload()
  }
  return { ...list, page, first, next, back }
}
