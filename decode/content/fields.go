// SPDX-License-Identifier: Apache-2.0

package content

import (
	"strings"

	"h2sniff/decode"
)

// Presence tells what is known of a field.
type Presence uint8

const (
	// Absent: every field of the section is known by name, and none is it.
	Absent Presence = iota
	// Present: its value is known.
	Present
	// Unknown: it is there, but its value is not known.
	Unknown
	// Possible: fields whose names are not known could be it.
	Possible
)

// Lookup finds a field by its lower-case name. Values of several fields of the
// name are joined by ", " (RFC 9110, section 5.3). Of a nil section, one that
// was not seen or not decoded, any field is Possible.
func Lookup(fields []decode.Field, name string) (value string, p Presence) {
	nameless := fields == nil
	var joined strings.Builder // a section can have thousands
	for i := range fields {
		f := &fields[i]
		known := f.Trust == decode.TrustExact || f.NameKnown
		switch {
		case !known:
			nameless = true
		case f.Name != name:
		case f.Trust != decode.TrustExact && !f.ValueKnown:
			return "", Unknown
		case p == Present:
			if joined.Len() == 0 {
				joined.WriteString(value)
			}
			joined.WriteString(", ")
			joined.WriteString(f.Value)
		default:
			value, p = f.Value, Present
		}
	}
	if joined.Len() > 0 {
		value = joined.String()
	}
	if p == Absent && nameless {
		p = Possible
	}
	return value, p
}

// mediaType gives a media type without its parameters, in lower case.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}
