// SPDX-License-Identifier: Apache-2.0

package filter

import "strings"

// Completion is what may stand at a place of an expression. Each item takes the
// place of text[From:To].
type Completion struct {
	From, To int
	Items    []Item
}

// Item is one of them.
type Item struct {
	Text  string // to be put in
	About string // one line; may be empty
}

// Values gives values of a field that are known beside those of the language:
// names of header fields where header is set and its value is asked for, those
// of programs, connections. The texts come without quotes.
type Values func(f *Field, header string) []string

// usualHeaders are offered as names of header fields.
var usualHeaders = []string{"content-type", "user-agent", "content-length", "content-encoding", "accept", "authorization",
	"cookie", "set-cookie", "location", "server", "referer", "x-request-id", "traceparent",
	"grpc-status", "grpc-message", "grpc-timeout", "grpc-encoding"}

var usualMethods = []string{"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT"}

// Complete gives what may stand at the octet at of an unfinished expression and
// begins like what stands there. known may be nil.
func Complete(text string, at int, known Values) Completion {
	at = min(max(at, 0), len(text), MaxText)
	before, word := split(text[:at])
	out := Completion{From: len(before), To: at}
	tokens, err := lex(before)
	if err != nil {
		return out
	}
	p := parser{tokens: tokens}
	_, err = p.or()
	if p.peek().kind != tokenEnd {
		return out // a mistake before the place
	}
	if err == nil && p.wants.what != wantOperator {
		p.wants = wants{}
	}
	out.To = at + rest(text[at:], word, p.wants.what)
	lower := strings.ToLower(strings.Trim(word, `"`))
	for _, i := range p.wants.items(p.open(), known) {
		if strings.HasPrefix(strings.ToLower(strings.TrimLeft(i.Text, `["`)), lower) {
			out.Items = append(out.Items, i)
		}
	}
	if p.wants.what == wantTest && len(lower) > 1 && len(out.Items) == 0 {
		out.Items = append(out.Items, testsLike(lower, known)...)
	}
	return out
}

// rest is how much behind the place belongs to the word and is replaced too.
func rest(text, word string, what expectation) (n int) {
	if !strings.HasPrefix(word, `"`) {
		for word != "" && n < len(text) && wordByte(text[n]) {
			n++
		}
		return n
	}
	if end := strings.IndexByte(text, '"'); end >= 0 {
		n = end + 1
		if what == wantName && strings.HasPrefix(text[n:], "]") {
			n++
		}
	}
	return n
}

// split takes the unfinished word at the end off.
func split(text string) (before, word string) {
	quoted, from := false, 0
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			if !quoted {
				from = i
			}
			quoted = !quoted
		case quoted && text[i] == '\\':
			i++
		}
	}
	if quoted {
		return text[:from], text[from:]
	}
	from = len(text)
	for from > 0 && wordByte(text[from-1]) {
		from--
	}
	if n := strings.LastIndex(text[from:], ".."); n >= 0 {
		from += n + 2
	}
	return text[:from], text[from:]
}

// open tells whether a parenthesis has not been closed.
func (p *parser) open() bool {
	n := 0
	for _, t := range p.tokens {
		switch {
		case t.is("("):
			n++
		case t.is(")"):
			n--
		}
	}
	return n > 0
}

func (w wants) items(open bool, known Values) []Item {
	var out []Item
	more := func() {
		out = append(out, Item{"&&", "and"}, Item{"||", "or"})
		if open {
			out = append(out, Item{")", ""})
		}
	}
	switch w.what {
	case wantTest:
		for i := range fields {
			out = append(out, Item{fields[i].Name, fields[i].About})
		}
		out = append(out, Item{"!", "not"}, Item{"(", ""})
	case wantOperator:
		for o := opEqual; o <= opIn; o++ {
			if w.field.kind.allows(o) {
				out = append(out, Item{operatorNames[o], operatorAbout[o]})
			}
		}
		more()
	case wantValue:
		for _, v := range w.field.offers(known) {
			out = append(out, Item{word(v), ""})
		}
	case wantHeader, wantName:
		begin := "["
		if w.what == wantName {
			begin = ""
		}
		for _, n := range headerNames(known) {
			out = append(out, Item{begin + quote(n) + "]", ""})
		}
	case wantBracket:
		out = append(out, Item{"]", ""})
	case wantList:
		out = append(out, Item{"(", "a list of values and ranges"})
	case wantComma:
		out = append(out, Item{",", ""}, Item{"..", "up to"}, Item{")", ""})
	case wantMore:
		more()
	}
	return out
}

// headerNames are names of header fields, those that are known first.
func headerNames(known Values) (names []string) {
	all := usualHeaders
	if known != nil {
		all = append(known(fieldNamed("header"), ""), all...)
	}
	seen := make(map[string]bool)
	for _, n := range all {
		if n = strings.ToLower(n); !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	return names
}

var operatorAbout = [...]string{opHas: "", opEqual: "is", opNotEqual: "is not, or is not there", opLess: "less", opLessEqual: "at most",
	opGreater: "more", opGreaterEqual: "at least", opContains: "holds this text", opMatches: "a regular expression (RE2)",
	opIn: "one of a list"}

// offers are values of the field.
func (f *Field) offers(known Values) []string {
	out := f.Values()
	if f.id == fieldMethod {
		out = usualMethods
	}
	if known != nil {
		out = append(known(f, ""), out...)
	}
	return out
}
