// SPDX-License-Identifier: Apache-2.0

package decode

// Severity ranks what is found wrong with frames that were decoded.
type Severity uint8

const (
	Note    Severity = iota + 1 // worth knowing
	Warning                     // likely a problem, though allowed
	Error                       // a rule of the RFC is broken
)

func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return "invalid"
}
