// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenString // in quotes
	tokenOp     // any of the operators below
)

// token is a part of an expression.
type token struct {
	kind    tokenKind
	at, end int
	text    string // of a string without its quotes
}

// name is how an error calls it.
func (t token) name() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenString:
		return quote(t.text)
	}
	return t.text
}

func (t token) is(text string) bool { return t.kind == tokenOp && t.text == text }

// operators, those first that begin with others.
var operators = []string{"&&", "||", "==", "!=", "<=", ">=", "..", "<", ">", "!", "(", ")", "[", "]", ",", "="}

// wordByte tells whether b may stand in a word without quotes.
func wordByte(b byte) bool {
	switch {
	case b >= '0' && b <= '9', b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= utf8.RuneSelf:
		return true
	}
	return strings.IndexByte("_.-/:*%+@~?#$^;", b) >= 0
}

// lex takes text apart. The last token is tokenEnd. With an error it gives the
// tokens before the fault.
func lex(text string) ([]token, error) {
	var tokens []token
	for at := 0; ; {
		for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
		}
		if at == len(text) {
			return append(tokens, token{kind: tokenEnd, at: at, end: at}), nil
		}
		if n := len(tokens); n > 0 && text[at] == '{' && tokens[n-1].kind == tokenWord && strings.EqualFold(tokens[n-1].text, "in") {
			return tokens, fail(at, "a list is in round parentheses: in (…, …)")
		}
		t, err := lexOne(text, at)
		if err != nil {
			return tokens, err
		}
		tokens = append(tokens, t)
		at = t.end
	}
}

func lexOne(text string, at int) (token, error) {
	if text[at] == '"' {
		return lexString(text, at)
	}
	rest := text[at:]
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			return token{tokenOp, at, at + len(op), op}, nil
		}
	}
	n := 0
	for n < len(rest) && wordByte(rest[n]) && !strings.HasPrefix(rest[n:], "..") {
		n++
	}
	if n == 0 {
		r, _ := utf8.DecodeRuneInString(rest)
		if r == '&' || r == '|' {
			return token{}, fail(at, "a single %c means nothing: write %c%c", r, r, r)
		}
		return token{}, fail(at, "%s cannot stand here: put text that holds it in double quotes", quote(string(r)))
	}
	return token{tokenWord, at, at + n, rest[:n]}, nil
}

func lexString(text string, at int) (token, error) {
	var out strings.Builder
	for i := at + 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return token{tokenString, at, i + 1, out.String()}, nil
		case '\\':
			if i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\') {
				i++
			}
		}
		out.WriteByte(text[i])
	}
	return token{}, fail(at, "the text that begins here has no closing quote")
}

// quote puts text in quotes as lexString reads it.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// word is text without quotes where it needs none.
func word(text string) string {
	if text == "" || strings.Contains(text, "..") {
		return quote(text)
	}
	for i := range len(text) {
		if !wordByte(text[i]) {
			return quote(text)
		}
	}
	return text
}
