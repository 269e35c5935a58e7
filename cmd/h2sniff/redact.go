// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"github.com/spf13/pflag"

	"h2sniff/decode/redact"
)

// redactFlags choose what secrets are taken out before anything is stored.
type redactFlags struct {
	mode   redactMode
	fields []string
}

func addRedactFlags(f *pflag.FlagSet, r *redactFlags) {
	f.Var(&r.mode, "redact", "take secrets out before anything is stored: in header fields and queries, and all of DATA; --redact=headers leaves DATA")
	f.Lookup("redact").NoOptDefVal = "all"
	f.StringArrayVar(&r.fields, "redact-field", nil, "with --redact: the field `NAME` holds secrets too (repeatable)")
}

func (r *redactFlags) check() error {
	if len(r.fields) > 0 && r.mode == redactNothing {
		return usageError{errors.New("--redact-field needs --redact")}
	}
	for _, name := range r.fields {
		if name == "" {
			return usageError{errors.New("--redact-field needs a name")}
		}
	}
	return nil
}

// apply puts the redaction behind a session's source.
func (r *redactFlags) apply(s *session, assumeHTTP2 bool) {
	if r.mode != redactNothing {
		s.Source = redact.New(s.Source, redact.Options{
			Fields: r.fields, KeepData: r.mode == redactHeaders, AssumeHTTP2: assumeHTTP2,
		})
	}
}

// redactMode is how much is redacted.
type redactMode uint8

const (
	redactNothing redactMode = iota
	redactHeaders
	redactAll
)

// Type has no name of a value, so that usage shows --redact[=all] and not a value
// behind a space, which would be an argument of its own.
func (v *redactMode) Type() string { return "" }
func (v *redactMode) String() string {
	switch *v {
	case redactHeaders:
		return "headers"
	case redactAll:
		return "all"
	}
	return ""
}
func (v *redactMode) Set(s string) error {
	switch s {
	case "headers":
		*v = redactHeaders
	case "all":
		*v = redactAll
	default:
		return errors.New("what can be redacted is all or headers")
	}
	return nil
}
