// One ticking instant for every countdown on the page, corrected by the server's own clock.

import { ref } from 'vue'

export const now = ref(Date.now())
let offset = 0

export function learnServerTime(instant: string): void {
  const measured = Date.parse(instant) - Date.now()
  // Less than a second is the way of the answer, not a wrong clock.
  offset = Math.abs(measured) > 1_500 ? measured : 0
}

window.setInterval(() => (now.value = Date.now() + offset), 1_000)
