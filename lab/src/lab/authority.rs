//! The lab's own certificate authority, and the certificate of its registry.
//!
//! Made once and kept with the lab's other keys; machines are given the authority's certificate with their identity. The
//! times are fixed ones: a machine's clock may be wrong, and a lab does not live for years.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::files::{PUBLIC, SECRET, read_if_present, write_atomic};
use crate::layout::LabFiles;

use super::Lab;

/// The certificate of the authority, as text; makes it where it is missing.
///
/// # Errors
/// When it cannot be made or written.
pub fn ensure(files: &LabFiles, lab: &str) -> anyhow::Result<String> {
    if let Some(text) = read(files)? {
        return Ok(text);
    }
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = authority(lab).self_signed(&key).context("cannot make the lab's certificate")?.pem();
    // The key first: a certificate means that both are whole.
    write_atomic(&files.authority_key(), key.serialize_pem().as_bytes(), SECRET)?;
    write_atomic(&files.authority(), certificate.as_bytes(), PUBLIC)?;
    Ok(certificate)
}

/// The certificate of the authority, where there is one.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read(files: &LabFiles) -> anyhow::Result<Option<String>> {
    Ok(read_if_present(&files.authority())?.filter(|text| !text.is_empty()))
}

/// Where a certificate and its key lie.
pub struct Certificate {
    /// In PEM.
    pub certificate: PathBuf,
    /// In PEM, mode 0600.
    pub key: PathBuf,
}

/// The certificate of the registry at the lab's gateway, signed by the authority; made where it is missing.
///
/// # Errors
/// When it cannot be made or written.
pub fn certificate(lab: &Lab) -> anyhow::Result<Certificate> {
    let gateway = lab.spec.network.gateway;
    let place = lab.files.registry_certificate(&gateway.to_string());
    let made = Certificate { key: place.with_extension("key"), certificate: place };
    if is_whole(&made.certificate) && is_whole(&made.key) {
        return Ok(made);
    }
    ensure(&lab.files, &lab.spec.name)?;
    let signing = read_if_present(&lab.files.authority_key())?.context("the lab's authority has no key")?;
    let signing = KeyPair::from_pem(&signing).context("cannot read the key of the lab's authority")?;
    let issuer = Issuer::new(authority(&lab.spec.name), signing);
    let mut wanted = CertificateParams::default();
    wanted.distinguished_name = named("the lab's registry");
    wanted.subject_alt_names = vec![SanType::IpAddress(gateway.into())];
    wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    wanted.use_authority_key_identifier_extension = true;
    valid(&mut wanted);
    let key = KeyPair::generate().context("cannot make a key")?;
    let signed = wanted.signed_by(&key, &issuer).context("cannot make the registry's certificate")?;
    write_atomic(&made.key, key.serialize_pem().as_bytes(), SECRET)?;
    write_atomic(&made.certificate, signed.pem().as_bytes(), PUBLIC)?;
    Ok(made)
}

fn is_whole(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.len() > 0)
}

/// What the authority's certificate says. The same for the same lab: what it signs later names it by this.
fn authority(lab: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("the lab {lab}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}
