/// The unit atoms and prefixes of the code that occur in industry.
enum UCUMAtoms {
    /// Table 1: prefixes of metric units.
    private static let prefixes = [
        "Y", "Z", "E", "P", "T", "G", "M", "k", "h", "da", "d", "c", "m", "u", "n", "p", "f", "a", "z", "y", "Ki", "Mi", "Gi", "Ti",
    ]

    /// Each atom, and whether prefixes may stand before it.
    static let all: [String: Bool] = {
        var atoms: [String: Bool] = [:]
        for atom in metric.split(separator: " ") { atoms[String(atom)] = true }
        for atom in others.split(separator: " ") { atoms[String(atom)] = false }
        return atoms
    }()

    /// Base, derived, customary and special units that take prefixes (tables 2 to 5, 12 to 14, and the pressure columns).
    private static let metric = """
        m s g rad K C cd mol sr Hz N Pa J W A V F Ohm S Wb Cel T H lm lx Bq Gy Sv kat L l ar t bar u eV pc Kt st mho \
        Np B B[SPL] B[V] B[mV] B[uV] B[10.nV] B[W] B[kW] bit By Bd m[H2O] m[Hg] cal cal_th cal_IT eq osm U erg dyn P St Mx G Oe Gb Lmb ph \
        Ci R RAD REM Gal g% [IU] [iU] [c] [h] [k] [eps_0] [mu_0] [e] [m_e] [m_p] [G] [g] [ly] gf Bi sb tex
        """

    /// Units without prefixes (tables 4, 6 to 11, 14).
    private static let others = """
        % [ppth] [ppm] [ppb] [pptr] [pi] deg gon ' '' min h d a a_t a_j a_g wk mo mo_s mo_j mo_g AU atm att bit_s [degF] [degR] [degRe] \
        [in_i] [ft_i] [yd_i] [mi_i] [fth_i] [nmi_i] [kn_i] [mil_i] [sin_i] [sft_i] [syd_i] [cin_i] [cft_i] [cyd_i] [in_us] [ft_us] [yd_us] \
        [mi_us] [acr_us] [sct] [gal_us] [bbl_us] [qt_us] [pt_us] [foz_us] [bu_us] [gal_wi] [gal_br] [pt_br] [gr] [lb_av] [oz_av] [ston_av] \
        [lton_av] [stone_av] [oz_tr] [lb_tr] [lbf_av] [pnt] [psi] [HP] [Btu] [Btu_IT] [Btu_th] [Btu_39] [Btu_59] [Btu_60] [in_i'H2O] \
        [in_i'Hg] [pH] [S] [smoot] circ sph [car_m] [car_Au] [drp] [mesh_i] [Ch] [den] [PRU] [diop] [hd_i] [rd_us] [lk_us] \
        [pca] [pca_pr] [didot] [cicero] [cr_i] [bf_i] [cml_i] [pwt_tr] [oz_ap] [lb_ap] [dr_ap] [sc_ap] [lcwt_av] [scwt_av] [twp] [srd_us]
        """

    /// Whether a name is an atom, or a metric atom with a prefix.
    static func isUnit(_ name: String) -> Bool {
        if all[name] != nil { return true }
        for prefix in prefixes where name.hasPrefix(prefix) && all[String(name.dropFirst(prefix.count))] == true { return true }
        return false
    }
}
