// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"io"
)

// mark is a text that the code of a TLS library has among its constants, and
// programs that only load the library have not: the name of a source file that
// it gives with its errors.
type mark struct{ library, text string }

// maxConstants bounds the constants that are searched for marks, in octets.
// Web browsers have some 60 MiB of them.
const maxConstants = 128 << 20

// findHidden looks for a library without symbols; nil where there is none.
func (o *object) findHidden(rules []*rule) (*HiddenError, error) {
	var marks []mark
	longest := 0
	for _, r := range rules {
		if !r.executable {
			continue
		}
		for _, m := range r.marks {
			marks = append(marks, m)
			longest = max(longest, len(m.text))
		}
	}
	if len(marks) == 0 {
		return nil, nil
	}
	places := o.constant
	if len(places) == 0 { // linkers once put constants among the code
		for _, s := range o.segments {
			places = append(places, extent{s.offset, s.size})
		}
	}
	var hidden *HiddenError
	left := uint64(maxConstants)
	for _, e := range places {
		if e.size = min(e.size, left); e.size == 0 {
			continue
		}
		left -= e.size
		err := o.chunks(e, longest, func(piece []byte, _ uint64) error {
			for _, m := range marks {
				if bytes.Contains(piece, []byte(m.text)) {
					hidden = &HiddenError{Library: m.library}
					return io.EOF
				}
			}
			return nil
		})
		if hidden != nil {
			return hidden, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}
