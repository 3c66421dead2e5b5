import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

// What `npm run dev` shows; the server takes no request that names another site as its origin.
const server = process.env.TIMERJOBS_URL ?? 'http://127.0.0.1:8000'

// Assets are never inlined as data: URLs: the server's policy is `default-src 'self'`.
export default defineConfig({
  plugins: [vue()],
  define: {
    __VUE_OPTIONS_API__: 'false',
    __VUE_I18N_FULL_INSTALL__: 'false',
    __VUE_I18N_LEGACY_API__: 'false',
    __INTLIFY_PROD_DEVTOOLS__: 'false',
  },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    manifest: true,
  },
  server: { proxy: { '^/(api|jobs)/': { target: server, changeOrigin: true, headers: { origin: server } } } },
})
