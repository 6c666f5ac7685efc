//! Quantities and addresses that must not be mixed up with plain numbers and strings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes. Written with a binary unit in a cluster file: `2GiB`, `512MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `count` mebibytes.
    pub const fn from_mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// `count` gibibytes.
    pub const fn from_gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// Whole kibibytes, the unit of libvirt's `<memory>` when none is named.
    pub const fn kib(self) -> u64 {
        self.0 >> 10
    }

    /// Whole mebibytes, rounded down.
    pub const fn mib(self) -> u64 {
        self.0 >> 20
    }
}

impl fmt::Display for Bytes {
    /// The largest binary unit that divides the value: `2GiB`, `1536MiB`, `17B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
            .into_iter()
            .find(|(unit, _)| self.0 != 0 && self.0.is_multiple_of(*unit))
            .unwrap_or((1, "B"));
        write!(f, "{}{name}", self.0 / unit)
    }
}

/// For people: `5.2 GiB`.
pub fn gibibytes(bytes: Bytes) -> String {
    let tenths = bytes.mib().saturating_mul(10) / 1024;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

/// Why a text is not a quantity of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number and a unit, like 8GiB or 512MiB")]
pub struct ParseBytesError;

impl FromStr for Bytes {
    type Err = ParseBytesError;

    /// Accepts a whole number followed by `KiB`, `MiB`, `GiB` or `TiB`. Decimal units and bare
    /// numbers are refused: their meaning is ambiguous.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(ParseBytesError)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| ParseBytesError)?;
        let shift = match unit.trim_start() {
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(ParseBytesError),
        };
        number.checked_mul(1 << shift).map(Self).ok_or(ParseBytesError)
    }
}

/// A MAC address, always printed in lower case with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(pub [u8; 6]);

/// Why a text is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected six pairs of hexadecimal digits, like 52:54:00:0a:1b:2c")]
pub struct ParseMacAddressError;

impl FromStr for MacAddress {
    type Err = ParseMacAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut pairs = text.split(':');
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let pair = pairs.next().ok_or(ParseMacAddressError)?;
            if pair.len() != 2 || !pair.chars().all(|c| c.is_ascii_hexdigit()) {
                return Err(ParseMacAddressError);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ParseMacAddressError)?;
        }
        if pairs.next().is_none() { Ok(Self(bytes)) } else { Err(ParseMacAddressError) }
    }
}

impl TryFrom<String> for MacAddress {
    type Error = ParseMacAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2GiB", 2 << 30, "2GiB")]
    #[case("512 MiB", 512 << 20, "512MiB")]
    #[case("1024MiB", 1 << 30, "1GiB")]
    #[case("1536MiB", 1536 << 20, "1536MiB")]
    #[case("3KiB", 3 << 10, "3KiB")]
    #[case("1TiB", 1 << 40, "1TiB")]
    #[case("0GiB", 0, "0B")]
    fn sizes_are_read_and_shown_in_the_largest_unit(
        #[case] text: &str,
        #[case] bytes: u64,
        #[case] shown: &str,
    ) {
        let size: Bytes = text.parse().unwrap();
        assert_eq!((size, size.to_string().as_str()), (Bytes(bytes), shown));
    }

    #[rstest]
    fn sizes_without_a_binary_unit_are_refused(
        #[values(
            "",
            "GiB",
            "8",
            "8G",
            "8Gi",
            "8GB",
            "8gib",
            "-8GiB",
            "1.5GiB",
            " 8GiB",
            "8GiB ",
            "16777216TiB",
            "٣GiB"
        )]
        text: &str,
    ) {
        assert_eq!(text.parse::<Bytes>(), Err(ParseBytesError));
    }

    #[test]
    fn sizes_are_converted_rounding_down() {
        let size = Bytes((5 << 20) + 1);
        assert_eq!((size.kib(), size.mib()), (5 << 10, 5));
        assert_eq!((Bytes::from_mib(1024), Bytes::from_gib(1)), (Bytes(1 << 30), Bytes(1 << 30)));
    }

    #[test]
    fn mac_addresses_are_shown_in_lower_case() {
        assert_eq!(MacAddress([0x52, 0x54, 0, 0xAB, 0xC, 0xFF]).to_string(), "52:54:00:ab:0c:ff");
    }
}
