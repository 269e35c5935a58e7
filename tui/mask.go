// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"

	"h2sniff/decode"
)

// Values that are likely to be secrets are not shown, nor copied, until the
// user asks for them. Files that are written hold them: they are for programs,
// and only their owner can read them.

// isSecret tells whether a field's value is likely to be a secret: credentials
// and cookies by their names, and what the peer would not have indexed
// (RFC 7541, section 7.1.3).
func isSecret(f *decode.Field) bool {
	if f.Sensitive {
		return true
	}
	if !f.NameKnown {
		return false
	}
	switch len(f.Name) {
	case len("authorization"), len("proxy-authorization"), len("cookie"), len("set-cookie"):
	default:
		return false
	}
	switch strings.ToLower(f.Name) {
	case "authorization", "proxy-authorization", "cookie", "set-cookie":
		return true
	}
	return false
}

// masks tells whether the value of a field is not to be shown.
func (m *Model) masks(f *decode.Field) bool {
	return !m.unmasked && f.Value != "" && isSecret(f)
}

const maskDots = "••••••"

// maskedText stands for a value that is not shown.
func maskedText(f *decode.Field) string {
	return maskDots + " " + plural(len(f.Value), "octet") + ", * shows"
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return commas(uint64(n)) + " " + unit + "s"
}

// toggleMask shows what is masked, or masks it again.
func (m *Model) toggleMask() {
	m.unmasked = !m.unmasked
	if m.unmasked {
		m.say("secrets are shown, and copied; * masks them", false)
	} else {
		m.say("secrets are masked", false)
	}
	m.frames.page, m.strms.page = pageKey{}, pageKey{}
	m.detail.stale()
	m.refresh()
}
