// SPDX-License-Identifier: Apache-2.0

package store

import "h2sniff/capture"

// Found is a finding and the Seq of the row that it is of.
type Found struct {
	Seq uint64
	Finding
}

// FindingsOf returns those findings about a connection's rows that are held
// and that want chooses, or all if it is nil: the newest n of them, those of
// older segments first. more says that there were others. It looks at findings
// only, never at rows.
func (s *Store) FindingsOf(conn capture.ConnID, n int, want func(*Found) bool) (list []Found, more bool) {
	type run struct {
		first    uint64
		findings []finding
	}
	var runs []run
	s.shared(func() {
		for _, g := range s.segs {
			if len(g.findings) > 0 {
				runs = append(runs, run{g.first, g.findings})
			}
		}
	})
	for _, r := range runs {
		for i := range r.findings {
			f := &r.findings[i]
			if f.conn != conn {
				continue
			}
			found := Found{r.first + uint64(f.local), f.Finding}
			if want == nil || want(&found) {
				list = append(list, found)
			}
		}
	}
	if len(list) > n {
		return list[len(list)-n:], true
	}
	return list, false
}
