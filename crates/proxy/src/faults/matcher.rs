//! Whether a block is about a request.

use std::net::IpAddr;

use fracas_core::chaos::RequestMatcher;
use hyper::HeaderMap;

/// Whether a request meets all that a matcher says. The size is that of its body in bytes, where it is known before the body comes.
pub(crate) fn meets(matcher: &RequestMatcher, from: IpAddr, headers: &HeaderMap, size: Option<u64>) -> bool {
    let from = from.to_canonical();
    let networks = &matcher.source_ips;
    let by_source = networks.is_empty() || networks.iter().any(|network| network.to_canonical().contains(from));
    let by_headers = matcher.headers.iter().all(|wanted| {
        let mut values = headers.get_all(wanted.name.as_str()).iter();
        match &wanted.value {
            Some(value) => values.any(|one| one.as_bytes() == value.as_bytes()),
            None => values.next().is_some(),
        }
    });
    let is_least = |least| size.is_some_and(|size| size >= least);
    let is_most = |most| size.is_some_and(|size| size <= most);
    by_source
        && by_headers
        && matcher.min_body_size_bytes.is_none_or(is_least)
        && matcher.max_body_size_bytes.is_none_or(is_most)
        && (!matcher.chunked_only || size.is_none())
}

#[cfg(test)]
mod tests {
    use fracas_core::chaos::HeaderMatch;

    use super::*;

    fn from(matcher: &RequestMatcher, address: &str) -> bool {
        meets(matcher, address.parse().unwrap(), &HeaderMap::new(), Some(0))
    }

    #[test]
    fn one_of_the_sources_is_enough_in_both_families() {
        let sources = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:172.16.0.0/108"];
        let matcher = RequestMatcher {
            source_ips: sources.iter().map(|network| network.parse().unwrap()).collect(),
            ..RequestMatcher::default()
        };
        for (address, is) in [
            ("10.255.0.1", true),
            ("11.0.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8::9", true),
            ("2001:db9::", false),
            // A socket of both families says it so.
            ("::ffff:10.0.0.1", true),
            ("::ffff:11.0.0.1", false),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
        ] {
            assert_eq!(from(&matcher, address), is, "{address}");
        }
        assert!(from(&RequestMatcher::default(), "192.0.2.1"));
    }

    #[test]
    fn all_headers_are_needed_and_one_value_of_each_is_enough() {
        let header = |name: &str, value: Option<&str>| HeaderMatch {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        let meets = |wanted: &[HeaderMatch], lines: &[(&'static str, &'static str)]| {
            let matcher = RequestMatcher {
                headers: wanted.to_vec(),
                ..RequestMatcher::default()
            };
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            super::meets(&matcher, [127, 0, 0, 1].into(), &headers, None)
        };
        let both = [header("X-Tenant", Some("a")), header("x-canary", None)];
        assert!(meets(&both, &[("x-tenant", "a"), ("x-canary", "")]));
        assert!(meets(&both, &[("x-tenant", "b"), ("x-tenant", "a"), ("x-canary", "1")]));
        assert!(!meets(&both, &[("x-tenant", "a")]));
        assert!(!meets(&both, &[("x-tenant", "A"), ("x-canary", "1")]));
        assert!(!meets(&both, &[("x-tenant", "a, b"), ("x-canary", "1")]));
        assert!(meets(&[], &[]));
    }

    #[test]
    fn a_size_that_is_not_known_meets_no_bound() {
        let meets = |least, most, chunked_only, size| {
            let matcher = RequestMatcher {
                min_body_size_bytes: least,
                max_body_size_bytes: most,
                chunked_only,
                ..RequestMatcher::default()
            };
            super::meets(&matcher, [127, 0, 0, 1].into(), &HeaderMap::new(), size)
        };
        for (least, most, size, is) in [
            (Some(10), None, Some(9), false),
            (Some(10), None, Some(10), true),
            (None, Some(10), Some(10), true),
            (None, Some(10), Some(11), false),
            (None, Some(0), Some(0), true),
            (Some(2), Some(3), Some(4), false),
            (Some(0), None, None, false),
            (None, Some(u64::MAX), None, false),
            (None, None, None, true),
        ] {
            assert_eq!(meets(least, most, false, size), is, "{least:?} {most:?} {size:?}");
        }
        assert!(meets(None, None, true, None));
        assert!(!meets(None, None, true, Some(5)));
    }
}
