/* SPDX-License-Identifier: Apache-2.0 */
/* The page at /: three files that are built in. They hold no secret, load nothing from elsewhere and are allowed
 * nothing that they do not need, so that text from strangers stays text. */
#include "controld/api/http.h"

/* Paths from the root, where the compiler runs. */
#define EMBED(name, path) \
	__asm__(".section .rodata\n" #name ":\n" \
		".incbin \"" path "\"\n" #name "_end:\n" \
		".byte 0\n" \
		".previous\n"); \
	extern const char name[], name##_end[]

EMBED(page_html_file, "controld/api/page/page.html");
EMBED(page_js_file, "controld/api/page/page.js");
EMBED(page_css_file, "controld/api/page/page.css");

/* 'self' covers the WebSocket of our own host too. */
static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
			     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static void page_reply(struct http_request *r, const char *type, const char *begin, const char *end)
{
	http_header(r, "Content-Security-Policy", policy);
	http_header(r, "Referrer-Policy", "no-referrer");
	http_reply(r, 200, type, begin, (size_t)(end - begin));
}

void page_html(struct api *a, struct http_request *r)
{
	(void)a;
	page_reply(r, "text/html; charset=utf-8", page_html_file, page_html_file_end);
}

void page_js(struct api *a, struct http_request *r)
{
	(void)a;
	page_reply(r, "text/javascript; charset=utf-8", page_js_file, page_js_file_end);
}

void page_css(struct api *a, struct http_request *r)
{
	(void)a;
	page_reply(r, "text/css; charset=utf-8", page_css_file, page_css_file_end);
}
