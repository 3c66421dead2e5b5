// Who is logged in, and what they may do. It is read before the first page is shown; any call that is
// answered with 401 ends it, and the login page takes the place of the pages.

import { computed, shallowRef } from 'vue'
import { api, whenUnauthorized } from '../api'
import type { Role, Session } from '../api/types'

export const session = shallowRef<Session | null>(null)
/** False until the server has said so: an unreachable server is told by the pages. */
export const mustLogIn = computed(() => session.value !== null && session.value.role === null)

const ORDER: (string | null)[] = [null, 'viewer', 'operator', 'admin']

/** Whether what needs this role is to be offered. The server decides; this spares people a refusal. */
export function can(needed: Role): boolean {
  // An unreachable server has not said: its pages tell that.
  return session.value === null || ORDER.indexOf(session.value.role) >= ORDER.indexOf(needed)
}

export async function readSession(): Promise<void> {
  session.value = await api.session().catch(() => session.value)
}

whenUnauthorized(() => {
  const known = session.value ?? { mode: 'required', accounts: true, claim: false }
  if (known !== session.value || session.value?.role !== null) session.value = { ...known, accounts: true, username: null, role: null }
})

// Whoever comes or goes begins with a page that holds nothing of the one before, on the same route.
const anew = () => location.reload()

export async function logIn(username: string, password: string): Promise<void> {
  await api.logIn({ username, password })
  anew()
}

export async function claim(code: string, username: string, password: string): Promise<void> {
  await api.claim({ code, username, password })
  anew()
}

export async function logOut(): Promise<void> {
  await api.logOut()
  anew()
}
