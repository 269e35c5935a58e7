// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"h2sniff/decode"
	"h2sniff/decode/content"
	"h2sniff/decode/visible"
)

// maxCurlBody is how much of a request's body a curl command carries.
const maxCurlBody = 64 << 10

// curlCommand writes the request of an exchange as a command for a POSIX shell
// with curl. All of it can be seen and pasted: what is not printable is written
// as the octal escapes of printf. notes say what was left out. masks tells which
// values are not to be copied.
func curlCommand(x *content.Exchange, masks func(*decode.Field) bool) (command string, notes []string, err error) {
	side := x.Request()
	fields := side.Fields
	if len(fields) == 0 {
		return "", nil, fmt.Errorf("the header fields of the request are not known")
	}
	pseudo := func(name string) (string, bool) {
		v, p := content.Lookup(fields, name)
		return v, p == content.Present
	}
	method, ok := pseudo(":method")
	if !ok {
		return "", nil, fmt.Errorf("the method of the request is not known")
	}
	scheme, _ := pseudo(":scheme")
	authority, ok := pseudo(":authority")
	if !ok {
		authority, ok = pseudo("host")
	}
	path, hasPath := pseudo(":path")
	if !ok || !hasPath {
		return "", nil, fmt.Errorf("the authority or the path of the request is not known")
	}
	args := []string{"--http2", "--globoff", "--path-as-is"}
	if scheme == "http" {
		args[0] = "--http2-prior-knowledge"
	} else {
		scheme = "https"
	}
	url := scheme + "://" + authority + path
	if strings.ContainsAny(url+method, "\x00\r\n") {
		return "", nil, fmt.Errorf("the request line holds octets that no HTTP client sends")
	}
	body, why := curlBody(side)
	if why != "" {
		notes = append(notes, why)
	}
	switch {
	case method == "HEAD":
		args = append(args, "--head")
	case method != "GET" || len(body) > 0:
		args = append(args, "-X "+shellQuote(method))
	}
	args = append(args, shellQuote(url))
	lines, left := curlFields(fields, masks, len(body) > 0)
	args = append(args, lines...)
	notes = append(notes, left...)
	before := ""
	switch {
	case len(body) == 0:
	case isPlain(string(body)):
		args = append(args, "--data-raw "+shellQuote(string(body)))
	default:
		before = "printf '" + octal(string(body)) + "' | "
		args = append(args, "--data-binary @-")
	}
	if why != "" { // whoever gets the command sees no notes
		before = "# " + visible.String(why) + "\n" + before
	}
	return before + "curl " + strings.Join(args, " \\\n  "), notes, nil
}

// curlBody is what a command can carry of a body, and why that is not all.
func curlBody(side *content.Side) (body []byte, why string) {
	b := &side.Body
	if b.Octets == 0 && len(b.Holes) == 0 {
		return nil, ""
	}
	if problem := b.Problem(); problem != "" {
		return nil, "body left out: " + problem
	}
	if len(b.Data) > maxCurlBody {
		return nil, "body of " + octets(uint64(len(b.Data))) + " left out: w writes it"
	}
	return b.Data, ""
}

// curlFields writes the header fields as arguments. curl's own are taken back
// where the request did not have them: a content-type is one only with a body.
func curlFields(fields []decode.Field, masks func(*decode.Field) bool, body bool) (args, notes []string) {
	var cookies []string
	seen := map[string]bool{}
	unknown, secret, odd := 0, 0, 0
	for i := range fields {
		f := &fields[i]
		switch {
		case !f.NameKnown || f.Trust != decode.TrustExact && !f.ValueKnown:
			unknown++
			continue
		case strings.HasPrefix(f.Name, ":"):
			continue
		case f.Name == "content-length":
			continue // curl counts by itself
		case !isToken(f.Name) || strings.ContainsAny(f.Value, "\x00\r\n"):
			odd++ // curl would read a name that begins with @ as that of a file
			continue
		}
		seen[f.Name] = true
		switch {
		case masks(f):
			secret++
		case f.Name == "cookie":
			cookies = append(cookies, f.Value)
		case f.Value == "":
			args = append(args, "-H "+shellQuote(f.Name+";"))
		default:
			args = append(args, "-H "+shellQuote(f.Name+": "+f.Value))
		}
	}
	if len(cookies) > 0 {
		args = append(args, "-H "+shellQuote("cookie: "+strings.Join(cookies, "; ")))
	}
	for _, name := range []string{"user-agent", "accept", "content-type"} {
		if !seen[name] && (body || name != "content-type") {
			args = append(args, "-H "+shellQuote(name+":"))
		}
	}
	for _, left := range []struct {
		n    int
		what string
	}{{secret, "masked, * shows"}, {unknown, "not known"}, {odd, "that no HTTP client sends"}} {
		if left.n > 0 {
			notes = append(notes, plural(left.n, "field")+" left out ("+left.what+")")
		}
	}
	return args, notes
}

// isToken tells whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// isPlain tells whether a text can be shown and pasted as it is: no controls,
// nothing invisible.
func isPlain(s string) bool {
	return utf8.ValidString(s) && visible.String(s) == s && !strings.Contains(s, "\\")
}

// shellQuote makes a text one argument of a POSIX shell. The text holds no NUL
// and does not end in a newline.
func shellQuote(s string) string {
	if isPlain(s) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return `"$(printf '` + octal(s) + `')"`
}

// octal writes a text as the format of printf within single quotes. What shells
// and printf could take for something else is escaped too: a ! for the history,
// a - for an option.
func octal(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '%':
			b.WriteString("%%")
		case c < 0x20 || c > 0x7e || strings.IndexByte("\\'\"`$!-", c) >= 0:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
